package output

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Tcpdump prints one line a drop: the packet as `tcpdump -n -S` prints it, then
// the drop in brackets. What strangers wrote passes through Escape.
//
// It differs from tcpdump, as tcpdump_test.go holds, where that decodes what a
// packet carries (on the ports of DNS, NTP, HTTP and others; here the line ends
// with the length of the payload, or says "UDP, length 40"), counts sequence
// numbers from the first that it saw (unless with -S), tells ESP, GRE or the
// rarer errors of ICMPv6, MPTCP, TCP's MD5 or malformed options, or where the
// packet ends before its headers do.
type Tcpdump struct {
	w     io.Writer
	buf   []byte
	style Style
	zone  *time.Location
	stamp Stamp
	last  time.Time // of the line before, for StampDelta
}

// Stamp is how a line's time is written, by tcpdump's flags.
type Stamp int

const (
	StampClock Stamp = iota // 18:44:02.117835
	StampNone               // -t
	StampUnix               // -tt: 1700000000.117835
	StampDelta              // -ttt: since the line before
	StampDate               // -tttt: 2023-11-14 18:44:02.117835
	StampFirst              // -ttttt: since the first line
)

// NewTcpdump prints to w. Times are given in zone.
func NewTcpdump(w io.Writer, s Style, zone *time.Location, stamp Stamp) *Tcpdump {
	s.Width = 0 // what grep reads is never wrapped
	return &Tcpdump{w: w, style: s, zone: zone, stamp: stamp}
}

// SetWidth does nothing: a line is one line.
func (t *Tcpdump) SetWidth(int) {}

// Drop prints one drop.
func (t *Tcpdump) Drop(d *drop.Drop) error {
	more := ""
	if d.Repeats > 0 {
		more = "and " + count(d.Repeats) + " more like this"
	}
	return t.line(d.Time, d, more)
}

// Folded prints what stands for drops that were not shown one by one, at the
// time of the last of them: lines stay in order.
func (t *Tcpdump) Folded(f Folded) (shown uint64, err error) {
	n := f.Count
	switch {
	case f.Scope == ScopeAll:
		return 0, t.remark(f.Last, count(n)+" more drops by other rules")
	case f.Scope == ScopeRule:
		return 0, t.remark(f.Last, count(n)+" more drops of other flows: "+t.verdict(f.Drop))
	case !f.Shown:
		n--
		shown = 1
	}
	more := ""
	if n > 0 {
		more = "and " + count(n) + " more since " + t.clock(f.Drop.Time)
	}
	if f.Shown {
		more = count(n) + " more since " + t.clock(f.Drop.Time)
	}
	return shown, t.line(f.Last, f.Drop, more)
}

// Loss prints where they are missing how many drops were lost.
func (t *Tcpdump) Loss(l Loss) error {
	if l.Lost == 0 {
		return nil // only Places are new
	}
	return t.remark(l.Time, Plural(l.Lost, "drop", "drops")+" lost here, counted but not shown")
}

// Notice is not part of the lines: people read it on standard error.
func (t *Tcpdump) Notice(drop.Notice) error { return nil }

// Flush writes what was printed.
func (t *Tcpdump) Flush() error {
	if len(t.buf) == 0 {
		return nil
	}
	_, err := t.w.Write(t.buf)
	t.buf = t.buf[:0]
	return err
}

func (t *Tcpdump) line(at time.Time, d *drop.Drop, more string) error {
	t.time(at)
	t.buf = appendWire(t.buf, &d.Packet, true)
	text := t.verdict(d)
	if extra := t.extra(&d.Packet); extra != "" {
		text += t.style.sep() + extra
	}
	if more != "" {
		text += t.style.sep() + more
	}
	t.buf = append(t.buf, ' ')
	t.bracket(text)
	return t.spill()
}

// remark prints a line that is about no packet.
func (t *Tcpdump) remark(at time.Time, text string) error {
	t.time(at)
	t.bracket(text)
	return t.spill()
}

// bracket ends a line. Glue holds words together where lines are wrapped.
func (t *Tcpdump) bracket(text string) {
	t.buf = append(t.buf, '[')
	t.buf = append(t.buf, strings.ReplaceAll(text, string(glue), " ")...)
	t.buf = append(t.buf, "]\n"...)
}

// verdict is what the other outputs say under the packet.
func (t *Tcpdump) verdict(d *drop.Drop) string {
	label, _ := t.style.verdictLabel(d)
	if facts := t.style.facts(d); facts != "" {
		return label + " " + facts
	}
	return label
}

// extra is what tcpdump does not tell of a packet and a drop is explained by.
func (t *Tcpdump) extra(p *drop.Packet) string {
	var facts []string
	if f := p.Fragment; f != nil {
		text := "frag id " + strconv.FormatUint(uint64(f.ID), 10) + " offset " + strconv.Itoa(f.Offset)
		if f.More {
			text += "+"
		}
		facts = append(facts, text)
	}
	if p.Segments > 1 {
		facts = append(facts, "GSO "+strconv.Itoa(p.Segments)+" packets")
	}
	return strings.Join(facts, t.style.sep())
}

// time begins a line.
func (t *Tcpdump) time(at time.Time) {
	switch t.stamp {
	case StampNone:
		return
	case StampUnix:
		t.buf = appendSeconds(t.buf, at.Unix(), at.Nanosecond())
	case StampDelta, StampFirst:
		if t.last.IsZero() {
			t.last = at
		}
		since := at.Sub(t.last)
		if since < 0 {
			since = -since
			t.buf = append(t.buf, '-')
		}
		t.buf = time.Time{}.Add(since).AppendFormat(t.buf, " 15:04:05.000000")
		if t.stamp == StampDelta {
			t.last = at
		}
	case StampDate:
		t.buf = at.In(t.zone).AppendFormat(t.buf, "2006-01-02 15:04:05.000000")
	default:
		t.buf = at.In(t.zone).AppendFormat(t.buf, clockFormat)
	}
	t.buf = append(t.buf, ' ')
}

const clockFormat = "15:04:05.000000"

func (t *Tcpdump) clock(at time.Time) string { return at.In(t.zone).Format(clockFormat) }

func appendSeconds(dst []byte, seconds int64, nanoseconds int) []byte {
	dst = strconv.AppendInt(dst, seconds, 10)
	dst = append(dst, '.')
	micros := strconv.Itoa(1_000_000 + nanoseconds/1000)
	return append(dst, micros[1:]...)
}

// spill writes early where much has gathered.
func (t *Tcpdump) spill() error {
	if len(t.buf) < spillBytes {
		return nil
	}
	return t.Flush()
}
