package output

import (
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
)

// causeName is a failure's cause, and never so that a guess reads like a fact.
func causeName(f *drop.Failure) string {
	name := Escape(string(f.Cause), true)
	if f.Certainty == "probable" && f.Cause != drop.CauseUnknown {
		name = "probably\x00" + name
	}
	return name
}

// Failure prints a conntrack failure as a block of lines, told as a drop is.
func (t *Text) Failure(f *drop.ConntrackFailure) error {
	s := t.style
	d := drop.Drop{Time: f.Time, Packet: f.Packet, Hook: f.Hook, In: f.In, Out: f.Out}
	t.flow(&d)
	label, color := "lost", red
	if !f.Lost {
		label, color = "passed", yellow
	}
	facts := []string{causeName(&f.Failure)}
	for _, fact := range []string{s.hook(&d), s.netns(&f.Netns)} {
		if fact != "" {
			facts = append(facts, fact)
		}
	}
	t.labelled(label, color, strings.Join(facts, s.sep()), plainText)
	if c := f.Conntrack; c != nil && c.Original != nil {
		t.labelled("entry", plainText, s.entry(&drop.ConntrackEntry{
			Status: c.Status, Original: c.Original, Reply: c.Reply, Zone: c.Zone, Mark: c.Mark,
			TCPState: c.TCPState, NAT: c.NAT,
		}), plainText)
	}
	if f.Failure.Other != nil {
		label := "there"
		if f.Failure.Cause == drop.CauseEarlyDrop {
			label = "evicted"
		}
		t.labelled(label, plainText, s.entry(f.Failure.Other), plainText)
	}
	for _, w := range f.Why {
		t.whyLines(whyKey{rule: ruleKey{netns: f.Netns.Inode}, code: w.Code, text: w.Message}, w)
	}
	if n := f.Failure.Note; n != "" && f.Failure.Cause != drop.CauseUnknown {
		t.once("not certain: " + Escape(n, s.ASCII))
	}
	if f.Repeats > 0 {
		what := "more like this"
		if f.Mixed {
			what = "more of other flows"
		}
		t.more(f.Repeats, what, 0)
	}
	return t.spill()
}

// once prints a line that is told only the first time.
func (t *Text) once(text string) {
	if !t.told.facts[text] {
		t.told.facts[text] = true
		t.body(text)
	}
}

// Sample prints nothing: between failures people read only those.
func (t *Text) Sample(*drop.ConntrackSample) error { return nil }

// entry writes both tuples of an entry, the reply only where NAT shows in it.
func (s Style) entry(e *drop.ConntrackEntry) string {
	var f []string
	if e.Original != nil {
		f = append(f, Escape(e.Original.Protocol, true)+"\x00"+tuple(e.Original))
	}
	if len(e.NAT) > 0 && e.Reply != nil {
		f = append(f, Escape(strings.Join(e.NAT, " "), true)+", reply\x00"+tuple(e.Reply))
	}
	if e.TCPState != "" {
		f = append(f, Escape(e.TCPState, true))
	}
	if status := besidesNAT(e.Status); len(status) > 0 {
		f = append(f, Escape(strings.Join(status, ","), true))
	}
	if e.Zone != 0 {
		f = append(f, "zone\x00"+count(uint64(e.Zone)))
	}
	return strings.Join(f, s.sep())
}

// besidesNAT leaves out what the reply tuple tells better.
func besidesNAT(status []string) []string {
	var rest []string
	for _, word := range status {
		switch word {
		case "snat", "dnat", "src_nat_done", "dst_nat_done":
		default:
			rest = append(rest, word)
		}
	}
	return rest
}
