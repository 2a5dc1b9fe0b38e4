package output

import (
	"io"
	"strconv"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Text prints drops for people. The rules of its wording:
//
//   - The first line is the packet as tcpdump prints it; the lines under it
//     answer where, by what, and what now, each with its label.
//   - Calm: no capitals, no exclamation mark, no prose where a number does.
//   - A rule's text and its why are told once; after that the rule is named.
//   - What is not certain never reads as if it were.
//   - What strangers wrote passes through Escape.
type Text struct {
	w     io.Writer
	buf   []byte
	style Style
	zone  *time.Location

	told told
	last flowKey // of the block printed last
}

// maxTold bounds what is remembered as told; past it, all is told anew.
const maxTold = 4096

// told remembers what was printed in full.
type told struct {
	rules map[ruleKey]bool
	facts map[string]bool
	why   map[whyKey]bool
}

// whyKey has what a cause is told once for: a flood from a thousand sources has
// a thousand messages, but one cause.
type whyKey struct {
	rule           ruleKey
	code, protocol string
	service        uint16 // destination port or ICMP type
	text           string // of a cause that is not the service's alone
}

func whyKeyOf(rule ruleKey, d *drop.Drop, code string) whyKey {
	k := whyKey{rule: rule, code: code, protocol: d.Packet.Protocol}
	if p := d.Packet.DestinationPort; p != nil {
		k.service = *p
	} else if icmp := d.Packet.ICMPType; icmp != nil {
		k.service = uint16(*icmp)
	}
	switch code {
	case drop.WhyNoRoute, drop.WhyNotLocal, drop.WhyRouteRefuses, drop.WhyNeighbourSilent, drop.WhyTooBig:
		k.text = d.Packet.Destination.String() // each has its own way
	}
	return k
}

// NewText prints to w. Times are given in zone.
func NewText(w io.Writer, s Style, zone *time.Location) *Text {
	t := &Text{w: w, style: s, zone: zone}
	t.told.reset()
	return t
}

func (t *told) reset() {
	t.rules, t.facts, t.why = make(map[ruleKey]bool), make(map[string]bool), make(map[whyKey]bool)
}

// SetWidth adapts to a terminal that was resized.
func (t *Text) SetWidth(columns int) { t.style.Width = columns }

// Drop prints one drop as a block of lines.
func (t *Text) Drop(d *drop.Drop) error {
	if len(t.told.rules)+len(t.told.facts)+len(t.told.why) > maxTold {
		t.told.reset()
	}
	t.last = flowKeyOf(d)
	t.flow(d)
	fresh := t.verdict(d)
	t.details(d, fresh)
	if d.Repeats > 0 {
		t.more(d.Repeats, "more like this", 0)
	}
	return t.spill()
}

// Folded prints how many more there were, and first one of them in full where
// none was. It returns how many drops it has shown that way.
func (t *Text) Folded(f Folded) (shown uint64, err error) {
	d, n := f.Drop, f.Count
	if f.Scope == ScopeFlow && !f.Shown {
		first := *d
		first.Repeats = 0
		if err := t.Drop(&first); err != nil {
			return 0, err
		}
		shown, n = 1, n-1
	}
	span := f.Last.Sub(d.Time)
	switch {
	case n == 0:
	case f.Scope == ScopeAll:
		t.more(n, "more by other rules", span)
	case f.Scope == ScopeRule:
		t.more(n, "more of other flows", span, t.style.hook(d), t.style.short(d))
	case t.last == flowKeyOf(d):
		t.more(n, "more like this", span)
	default:
		flow := string(appendEndpoints(nil, &d.Packet)) + " " + Escape(d.Packet.Protocol, true)
		t.more(n, "more", span, flow, t.style.short(d))
	}
	return shown, t.spill()
}

// more writes the line that stands for n drops: "… 1,204 more like this in 1 s".
func (t *Text) more(n uint64, what string, span time.Duration, facts ...string) {
	text := t.style.ellipsis() + " " + count(n) + " " + what
	if span > 0 {
		text += " in " + seconds(span)
	}
	for i, f := range facts {
		if f == "" {
			continue
		}
		if i == 0 {
			text += ": " + f
		} else {
			text += t.style.sep() + f
		}
	}
	t.buf = t.style.appendLine(t.buf, line{text: text, color: dim, first: labelIndent, indent: narrowIndent})
}

// Loss prints, in the place where they are missing, how many drops were lost.
func (t *Text) Loss(l Loss) error {
	if l.Lost == 0 {
		return nil // only Places are new
	}
	t.last = flowKey{}
	text := "-- " + Plural(l.Lost, "drop", "drops") + " lost here, counted but not shown: " +
		"a narrower filter or a larger --buffer-size keeps them"
	t.buf = t.style.appendLine(t.buf, line{text: text, color: yellow, indent: narrowIndent})
	return t.spill()
}

// Notice is not part of the text: people read it on standard error.
func (t *Text) Notice(drop.Notice) error { return nil }

// Flush writes what was printed.
func (t *Text) Flush() error {
	if len(t.buf) == 0 {
		return nil
	}
	_, err := t.w.Write(t.buf)
	t.buf = t.buf[:0]
	return err
}

// spill writes early where much has gathered.
func (t *Text) spill() error {
	if len(t.buf) < spillBytes {
		return nil
	}
	return t.Flush()
}

// flow prints the first line of a block.
func (t *Text) flow(d *drop.Drop) {
	b := make([]byte, 0, 256)
	b = d.Time.In(t.zone).AppendFormat(b, "15:04:05.000000")
	n := len(b)
	b = append(b, ' ')
	b = appendFlow(b, &d.Packet)
	glueFlow(b[n:])
	t.buf = t.style.appendLine(t.buf, line{text: string(b), color: bold, indent: flowIndent})
}

// verdict prints the line of facts, or names a rule that was told before with
// the very same facts. It reports whether they are new.
func (t *Text) verdict(d *drop.Drop) (fresh bool) {
	label, color := t.style.verdictLabel(d)
	text, weight := t.style.facts(d), plainText
	fresh = !t.told.facts[text]
	t.told.facts[text] = true
	if d.Rule != nil && d.Attribution.Certainty == drop.Certain && !fresh {
		text, weight = t.style.same(d.Rule), dim
	}
	t.labelled(label, color, text, weight)
	return fresh
}

// labelled prints a line under the flow, its label in a column of its own.
func (t *Text) labelled(label, labelColor, text, color string) {
	t.buf = t.style.appendLine(t.buf, line{
		label: label, labelColor: labelColor, text: text, color: color, indent: bodyIndent,
	})
}

// body prints a line that belongs to the one before it.
func (t *Text) body(text string) {
	t.buf = t.style.appendLine(t.buf, line{text: text, first: bodyIndent, indent: bodyIndent})
}

// same names a rule that was told in full.
func (s Style) same(r *drop.Rule) string {
	what := "same rule ("
	if isPolicy(r) {
		what = "same policy ("
	}
	return what + chainName(r, s.ASCII) + shortPlace(r) + ")"
}

// short names what dropped d in a few words.
func (s Style) short(d *drop.Drop) string {
	switch {
	case d.Rule != nil && d.Attribution.Certainty == drop.Certain:
		return chainName(d.Rule, s.ASCII) + " " + place(d.Rule)
	case d.Cause == "kernel":
		return Escape(orUnknown(d.Reason), s.ASCII)
	case d.Cause == "hook":
		return "hook function " + Escape(orUnknown(d.Function), s.ASCII)
	case d.Rule != nil && d.Attribution.Certainty == drop.Probable:
		return s.probably(d.Rule)
	}
	return "rule not known"
}

// details prints what stands under the verdict: the rule's text, the quoted
// packet, NAT, why, stack.
func (t *Text) details(d *drop.Drop, fresh bool) {
	s, a := t.style, &d.Attribution
	key := ruleKeyOf(d)
	if r := d.Rule; r != nil && d.Cause != "kernel" && len(a.Candidates) < 2 && !t.told.rules[key] {
		t.ruleText(r)
		t.told.rules[key] = true
	}
	if fresh && d.Cause != "kernel" && a.Certainty == drop.Probable {
		t.doubt(a)
	}
	if in := d.Packet.Inner; in != nil && (d.Packet.Protocol == "icmp" || d.Packet.Protocol == "icmpv6") {
		t.labelled("quotes", plainText, string(appendFlow(nil, in)), plainText)
	}
	if nat := s.nat(d.Conntrack); nat != "" {
		t.labelled("nat", plainText, nat, plainText)
	}
	for _, w := range d.Why {
		t.whyLines(whyKeyOf(key, d, w.Code), w)
	}
	for i, f := range d.Stack {
		label := "stack"
		if i > 0 {
			label = " "
		}
		t.labelled(label, dim, Escape(f, s.ASCII), dim)
	}
}

// ruleText prints the rule as its own tool prints it, or why it cannot.
func (t *Text) ruleText(r *drop.Rule) {
	switch {
	case r.Text != "" && r.Text != "policy "+r.Policy:
		t.body(Escape(r.Text, t.style.ASCII))
	case r.TextMissing != "":
		t.body("rule text not known: " + Escape(r.TextMissing, t.style.ASCII))
	}
}

// doubt says why the answer is not certain, and shows the rules in question.
func (t *Text) doubt(a *drop.Attribution) {
	s := t.style
	if len(a.Candidates) > 1 {
		for i := range a.Candidates[:min(len(a.Candidates), maxCandidates)] {
			c := &a.Candidates[i]
			if c.Text == "" {
				continue
			}
			n := ""
			if c.Number != 0 {
				n = strconv.Itoa(c.Number) + ":\x00"
			}
			t.body(n + Escape(c.Text, s.ASCII))
		}
		if n := len(a.Candidates) - maxCandidates; n > 0 {
			t.body(s.ellipsis() + " and " + strconv.Itoa(n) + " more")
		}
	}
	if a.Note != "" {
		t.body("not certain: " + Escape(a.Note, s.ASCII))
	}
}

// whyLines prints a cause and its fix once.
func (t *Text) whyLines(key whyKey, w drop.Why) {
	if t.told.why[key] {
		return
	}
	t.told.why[key] = true
	t.labelled("why", yellow, Escape(w.Message, t.style.ASCII), plainText)
	t.buf = t.style.appendFix(t.buf, w.Fix)
}
