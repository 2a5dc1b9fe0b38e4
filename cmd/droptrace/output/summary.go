package output

import (
	"io"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// maxTotals is how many lines a total gets; the rest is one line.
const maxTotals = 20

// Summary is what closes a run.
type Summary struct {
	Counts    drop.Counts
	Shown     uint64     // drops that were printed one by one
	Folded    uint64     // drops that stand in a count
	Unshown   uint64     // drops that came after the end, or that nobody read
	Recording *Recording // nil: nothing was recorded
	Elapsed   time.Duration
	Tally     *Tally
	Lost      drop.Lost
	Arrivals  *drop.Arrivals // nil: not asked for
	// Beside says what else happened to packets, and was no drop.
	Beside []string
	// Recorded: the drops were read from a file, where nothing can hide.
	Recorded bool
	// Hidden says what could hide drops from droptrace; told when nothing
	// matched.
	Hidden []string
	// Grown are the kernel's counters of losses that grew meanwhile, for any packet;
	// told when nothing matched.
	Grown []string
}

// Write prints the summary: one line for the tired, then the totals, then the
// counts by which it can be checked.
func (m *Summary) Write(w io.Writer, s Style) error {
	p := summaryPrinter{s: s}
	c, matched := m.Counts, m.Shown+m.Folded+m.Unshown
	if m.Recording != nil {
		matched = max(matched, m.Recording.Stood+m.Recording.Unwritten)
	}
	p.line(0, strings.Join([]string{
		glued(Plural(c.Seen, "drop seen", "drops seen")), m.matched(s),
		glued(count(c.Lost) + " lost"), glued(seconds(m.Elapsed)),
	}, s.sep()))
	if m.Tally != nil && len(m.Tally.places) > 0 {
		p.totals(m.Tally.byPlace(s))
		if r := m.Tally.byReason(s); len(m.Tally.reasons) > 1 || r[0].name != "NETFILTER_DROP" {
			p.line(labelIndent, "by reason")
			p.totals(r)
		}
	}
	m.counts(&p)
	for _, b := range m.Beside {
		p.line(labelIndent, Escape(b, s.ASCII))
	}
	if m.Arrivals != nil {
		writeArrivals(m.Arrivals, &p)
	}
	if matched == 0 && c.Lost == 0 {
		m.hidden(&p)
	}
	_, err := w.Write(p.b)
	return err
}

// matched is short where all was shown, which is nearly always.
func (m *Summary) matched(s Style) string {
	if m.Recording != nil && !m.Recording.Printed {
		return m.Recording.matched(s)
	}
	var text string
	switch {
	case m.Folded == 0 && m.Unshown == 0 && m.Shown == 0:
		text = glued("0 matched")
	case m.Folded == 0 && m.Unshown == 0:
		text = glued(count(m.Shown) + " matched and shown")
	default:
		text = glued(count(m.Shown+m.Folded+m.Unshown)+" matched:") + " " + glued(count(m.Shown)+" shown")
		if m.Folded > 0 {
			text += ", " + glued(count(m.Folded)+" folded")
		}
		if m.Unshown > 0 {
			text += ", " + glued(count(m.Unshown)+" not shown")
		}
	}
	if m.Recording != nil {
		text += ", " + m.Recording.written(s)
	}
	return text
}

// counts prints the design's counters where they say more than the first line.
func (m *Summary) counts(p *summaryPrinter) {
	c := m.Counts
	if c.Seen > 0 {
		p.line(labelIndent, strings.Join([]string{
			"seen " + count(c.Seen) + " = " + count(c.FilteredKernel) + " filtered in the kernel",
			count(c.Lost) + " lost",
			count(c.Delivered) + " delivered",
		}, " + "))
	}
	if c.Delivered > 0 {
		parts := []string{
			"delivered " + count(c.Delivered) + " = " + count(c.FilteredUser) + " filtered here",
		}
		if m.Recording != nil && !m.Recording.Printed {
			parts = append(parts, m.Recording.sum()...)
		} else {
			parts = append(parts, count(m.Shown)+" shown", count(m.Folded)+" folded")
		}
		if m.Unshown > 0 {
			parts = append(parts, count(m.Unshown)+" not shown (came after the end, or were not read)")
		}
		p.line(labelIndent, strings.Join(parts, " + "))
	}
	m.losses(p)
	if c.Undecided > 0 {
		p.line(labelIndent, "of those filtered, "+Plural(c.Undecided, "drop", "drops")+
			" may match: the expression looks at bytes of theirs that could not be read")
	}
	var apart []string
	if c.Members > 0 {
		apart = append(apart, Plural(c.Members, "fragment or clone", "fragments and clones")+" of drops counted above")
	}
	if c.NotLost > 0 {
		apart = append(apart, Plural(c.NotLost, "free", "frees")+" that lost no packet")
	}
	if c.MissedNested > 0 {
		apart = append(apart, Plural(c.MissedNested, "nested run", "nested runs")+" missed by the kernel: as many drops may be unseen")
	}
	if len(apart) > 0 {
		p.line(labelIndent, "apart from these: "+strings.Join(apart, ", "))
	}
}

// losses says which of the lost drops are in none of the totals.
func (m *Summary) losses(p *summaryPrinter) {
	if m.Recorded {
		return
	}
	var parts []string
	if n := m.Lost.Unasked; n > 0 {
		parts = append(parts, count(n)+" did not match")
	}
	if n := m.Lost.NotLost; n > 0 {
		parts = append(parts, count(n)+" lost no packet")
	}
	if n := m.Counts.Lost - min(m.Lost.Known(), m.Counts.Lost); n > 0 {
		parts = append(parts, count(n)+" are not told apart")
	}
	if len(parts) > 0 {
		p.line(labelIndent, "of the "+count(m.Counts.Lost)+" lost, "+strings.Join(parts, ", "))
	}
}

// hidden answers silence: what droptrace cannot see may still drop packets.
func (m *Summary) hidden(p *summaryPrinter) {
	if m.Recorded {
		p.line(0, "nothing matched")
		return
	}
	none := "nothing matched"
	if m.Arrivals != nil {
		none = "no drop matched"
	}
	if len(m.Hidden) == 0 {
		p.line(0, none+"; no XDP, tc filter or IPVS that could hide drops was found")
	} else {
		p.line(0, none+"; what could hide drops:")
		p.list(m.Hidden)
	}
	if len(m.Grown) > 0 {
		p.line(0, "meanwhile these counters grew, by any packet:")
		p.list(m.Grown)
	}
}

// WriteHeading prints, before the first drop, what is traced and how.
func WriteHeading(w io.Writer, s Style, facts []string) error {
	p := summaryPrinter{s: s}
	for i := range facts {
		facts[i] = Escape(facts[i], s.ASCII)
	}
	p.line(0, strings.Join(facts, s.sep()))
	p.b = append(p.b, '\n')
	_, err := w.Write(p.b)
	return err
}

// summaryPrinter gathers lines.
type summaryPrinter struct {
	b []byte
	s Style
}

func (p *summaryPrinter) line(indent int, text string) {
	p.b = p.s.appendLine(p.b, line{text: text, first: indent, indent: indent + narrowIndent})
}

// list prints a line each.
func (p *summaryPrinter) list(lines []string) {
	for _, l := range lines {
		p.line(labelIndent, Escape(l, p.s.ASCII))
	}
}

// totals prints counts flush right, their names beside them.
func (p *summaryPrinter) totals(list []total) {
	if rest := list[min(len(list), maxTotals):]; len(rest) > 1 {
		others := total{name: count(uint64(len(rest))) + " others"}
		for _, r := range rest {
			others.count += r.count
		}
		list = append(list[:maxTotals:maxTotals], others)
	}
	digits := 0
	for _, t := range list {
		digits = max(digits, len(count(t.count)))
	}
	for _, t := range list {
		n := count(t.count)
		text := t.name
		if t.text != "" {
			text += "\x00\x00" + t.text
		}
		p.b = p.s.appendLine(p.b, line{
			text:  strings.Repeat("\x00", max(digits-len(n), 0)) + n + "\x00\x00" + text,
			first: 2 * labelIndent, indent: 2*labelIndent + digits + 2,
		})
	}
}
