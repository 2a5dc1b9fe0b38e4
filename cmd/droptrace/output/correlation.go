package output

import (
	"io"
	"strconv"
	"time"

	"github.com/droptrace/droptrace/resolve/correlate"
	"github.com/droptrace/droptrace/resolve/drop"
)

// Correlation prints what became of captured packets.
type Correlation struct {
	w     io.Writer
	buf   []byte
	style Style
	zone  *time.Location
	json  bool
	memo  memo
}

// NewCorrelation prints to w, as text or one object a line.
func NewCorrelation(w io.Writer, s Style, zone *time.Location, json bool) *Correlation {
	return &Correlation{w: w, style: s, zone: zone, json: json}
}

// Result prints one.
func (c *Correlation) Result(r *correlate.Result) error {
	if c.json {
		record := correlationOf(r)
		c.buf = append(c.memo.appendCorrelation(c.buf, &record), '\n')
	} else {
		c.text(r)
	}
	if len(c.buf) < spillBytes {
		return nil
	}
	return c.Flush()
}

// text prints the packet as tcpdump does, and its fate under it.
func (c *Correlation) text(r *correlate.Result) {
	b := r.Time.In(c.zone).AppendFormat(nil, "15:04:05.000000")
	b = append(b, ' ')
	n := len(b)
	b = appendFlow(b, &r.Packet)
	glueFlow(b[n:])
	c.buf = c.style.appendLine(c.buf, line{text: string(b), color: bold, indent: flowIndent})
	frame := "frame\x00" + strconv.FormatUint(r.Frame, 10)
	switch r.Status {
	case correlate.Dropped:
		text := c.fate(r.Drop.Drop) + c.style.sep() + c.style.after(r.After) + c.style.sep() + frame
		if r.Fragment {
			text += c.style.sep() + "a fragment of what was dropped"
		}
		label, color := c.style.verdictLabel(r.Drop.Drop)
		c.line(label, color, text)
	case correlate.Ambiguous:
		c.line("unsure", yellow, "nothing tells which drop is this packet's, if any"+c.style.sep()+frame)
		c.candidates(r)
	case correlate.NotSeen:
		label, color := c.style.verdictLabel(r.Drop.Drop)
		c.line(label, color, c.fate(r.Drop.Drop)+c.style.sep()+"not in the capture")
	case correlate.NoDrop:
		c.line("passed", green, "no drop was recorded for it"+c.style.sep()+frame)
	default:
		c.line("unknown", yellow, "nothing was recorded at that time"+c.style.sep()+frame)
	}
}

// candidates are told by what dropped them: most often all by the same.
func (c *Correlation) candidates(r *correlate.Result) {
	told := make(map[ruleKey]int)
	var order []*drop.Drop
	for _, f := range r.Candidates {
		k := ruleKeyOf(f.Drop)
		if told[k]++; told[k] == 1 {
			order = append(order, f.Drop)
		}
	}
	for _, d := range order {
		text := Plural(uint64(told[ruleKeyOf(d)]), "candidate", "candidates")
		if r.More {
			text += " or more"
		}
		c.line(" ", plainText, text+": "+c.fate(d))
	}
}

// fate names what dropped the packet, and where.
func (c *Correlation) fate(d *drop.Drop) string {
	text := c.style.hook(d)
	if ns := netnsName(&d.Netns, c.style.ASCII); ns != "" {
		text += c.style.sep() + ns
	}
	if s := c.style.short(d); s != "" {
		text += c.style.sep() + s
	}
	if nat := c.style.nat(d.Conntrack); nat != "" {
		text += c.style.sep() + nat
	}
	return text
}

func (c *Correlation) line(label, color, text string) {
	c.buf = c.style.appendLine(c.buf, line{label: label, labelColor: color, text: text, indent: bodyIndent})
}

// after writes how long after its capture a packet was dropped.
func (s Style) after(d time.Duration) string {
	micro := "\x00µs\x00later"
	if s.ASCII {
		micro = "\x00us\x00later"
	}
	switch {
	case d < 0:
		return "at\x00once"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d)/1e3, 'f', 0, 64) + micro
	}
	return strconv.FormatFloat(float64(d)/1e6, 'f', 1, 64) + "\x00ms\x00later"
}

// Flush writes what was printed.
func (c *Correlation) Flush() error {
	if len(c.buf) == 0 {
		return nil
	}
	_, err := c.w.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// WriteCorrelationSummary prints the counts that close a run.
func WriteCorrelationSummary(w io.Writer, s Style, n *correlate.Counts) error {
	p := summaryPrinter{s: s}
	p.line(0, glued(Plural(n.Frames, "packet captured", "packets captured"))+s.sep()+
		glued(count(n.Dropped)+" dropped")+s.sep()+glued(count(n.Ambiguous)+" ambiguous")+s.sep()+
		glued(count(n.NoDrop)+" with no drop recorded"))
	if n.Outside > 0 {
		p.line(labelIndent, glued(count(n.Outside)+" captured")+" while nothing was recorded")
	}
	if n.Unread > 0 {
		p.line(labelIndent, glued(count(n.Unread)+" not compared:")+" too short, or of a link type that is not known")
	}
	p.line(0, glued(Plural(n.Drops, "drop recorded", "drops recorded"))+s.sep()+
		glued(count(n.Matched)+" in the capture")+s.sep()+glued(count(n.AmbiguousDrops)+" ambiguous")+s.sep()+
		glued(count(n.NotSeen)+" not in it"))
	if n.BesideCapture > 0 {
		p.line(labelIndent, glued(count(n.BesideCapture)+" recorded")+" before the capture's first packet or after its last")
	}
	if n.Disordered > 0 {
		p.line(labelIndent, glued(Plural(n.Disordered, "packet", "packets"))+" of the capture far out of order, so that drops may be missed: reordercap puts them right")
	}
	_, err := w.Write(p.b)
	return err
}
