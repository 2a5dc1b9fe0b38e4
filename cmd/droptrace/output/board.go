package output

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Board is the running table of conntrack: what each namespace's counters do, and
// what failed most.
type Board struct {
	Heading string
	Samples []*drop.ConntrackSample
	// Tops are the most frequent causes, flows, sources and destinations.
	Tops []BoardList
	// Fills say who fills the tables that are nearly full.
	Fills []*drop.ConntrackSample
	// Counts is what was counted in all, for the last line.
	Counts string
	// PerSecond shows rates; false: totals since the namespaces came to be.
	PerSecond bool
}

// BoardList is a column of keys with their counts.
type BoardList struct {
	Title string
	Rows  []BoardRow
}

// BoardRow is one of them.
type BoardRow struct {
	Key   string // escaped by the board
	Count uint64
}

type boardColumn struct {
	title string
	width int
	value func(*drop.ConntrackSample) string
	alarm func(*drop.ConntrackSample) bool
}

const boardName = 20 // columns for a namespace's name

// Lines returns the table, each line as wide as the style allows.
func (b *Board) Lines(s Style) []string {
	var out []string
	add := func(color, text string) {
		if s.Width > 0 {
			text, _ = cutHard(text, s.Width-1)
		}
		out = append(out, string(s.appendColored(nil, color, strings.ReplaceAll(text, string(glue), " "))))
	}
	if b.Heading != "" {
		add(plainText, b.Heading)
		add(plainText, "")
	}
	columns := b.columns()
	head := fmt.Sprintf("%-*s", boardName, "namespace")
	for _, c := range columns {
		head += fmt.Sprintf(" %*s", c.width, c.title)
	}
	add(dim, head)
	for _, sample := range b.Samples {
		row, color := fmt.Sprintf("%-*s", boardName, boardNamespace(s, &sample.Netns)), plainText
		for _, c := range columns {
			row += fmt.Sprintf(" %*s", c.width, c.value(sample))
			if c.alarm != nil && c.alarm(sample) {
				color = red
			}
		}
		add(color, row)
	}
	if len(b.Samples) == 0 {
		add(plainText, "no namespace has connections or counters yet")
	}
	for _, l := range b.Tops {
		if len(l.Rows) == 0 {
			continue
		}
		add(plainText, "")
		add(dim, l.Title)
		for _, r := range l.Rows {
			add(plainText, fmt.Sprintf("%10s  %s", count(r.Count), Escape(r.Key, s.ASCII)))
		}
	}
	for _, f := range b.Fills {
		b.fill(s, f, add)
	}
	if b.Counts != "" {
		add(plainText, "")
		add(dim, b.Counts)
	}
	return out
}

func boardNamespace(s Style, n *drop.Netns) string {
	name := strings.ReplaceAll(netnsName(n, s.ASCII), string(glue), " ")
	name = strings.TrimPrefix(name, "netns ")
	if n.Own {
		name = "this one"
	}
	name, _ = cutHard(name, boardName)
	return name
}

// cutHard cuts at a column, wherever that is.
func cutHard(text string, room int) (part string, was bool) {
	used := 0
	for i, r := range text {
		if used += columns(r); used > room {
			return text[:i], true
		}
	}
	return text, false
}

func (b *Board) columns() []boardColumn {
	counter := func(title string, alarm bool, value func(c *drop.ConntrackSample) uint64) boardColumn {
		c := boardColumn{title: title, width: max(len(title), 8)}
		c.value = func(s *drop.ConntrackSample) string { return b.number(s, value) }
		if alarm {
			c.alarm = func(s *drop.ConntrackSample) bool { return s.Delta != nil && value(s) > 0 }
		}
		return c
	}
	pick := func(f func(c drop.ConntrackCounts) uint64) func(*drop.ConntrackSample) uint64 {
		return func(s *drop.ConntrackSample) uint64 { return f(choose(s, b.PerSecond)) }
	}
	return []boardColumn{
		{title: "entries of max", width: 24, value: boardUse, alarm: NearlyFull},
		{title: "growth", width: 8, value: boardGrowth},
		counter("ins_fail", true, pick(func(c drop.ConntrackCounts) uint64 { return c.InsertFailed })),
		counter("drop", true, pick(func(c drop.ConntrackCounts) uint64 { return c.Drop })),
		counter("early", true, pick(func(c drop.ConntrackCounts) uint64 { return c.EarlyDrop })),
		counter("resolved", false, pick(func(c drop.ConntrackCounts) uint64 { return c.ClashResolve })),
		counter("too_long", true, pick(func(c drop.ConntrackCounts) uint64 { return c.ChainTooLong })),
		counter("invalid", false, pick(func(c drop.ConntrackCounts) uint64 { return c.Invalid })),
		counter("restart", false, pick(func(c drop.ConntrackCounts) uint64 { return c.SearchRestart })),
		counter("insert", false, pick(func(c drop.ConntrackCounts) uint64 { return c.Insert })),
		counter("found", false, pick(func(c drop.ConntrackCounts) uint64 { return c.Found })),
	}
}

// NearlyFull is from where on it is worth looking who fills a table.
func NearlyFull(s *drop.ConntrackSample) bool {
	return s.Table.Max > 0 && s.Table.Count*10 >= s.Table.Max*9
}

// choose returns the counters since the sample before, or all of them.
func choose(s *drop.ConntrackSample, delta bool) drop.ConntrackCounts {
	switch {
	case !delta:
		return s.Total
	case s.Delta == nil:
		return drop.ConntrackCounts{}
	}
	return *s.Delta
}

func (b *Board) number(s *drop.ConntrackSample, value func(*drop.ConntrackSample) uint64) string {
	n := value(s)
	if b.PerSecond && s.Milliseconds > 0 {
		perSecond := float64(n) * 1000 / float64(s.Milliseconds)
		if perSecond > 0 && perSecond < 1 {
			return "<1"
		}
		n = uint64(perSecond + 0.5)
	}
	return count(n)
}

func boardUse(s *drop.ConntrackSample) string {
	if s.Table.Max == 0 {
		return count(s.Table.Count) + " of any"
	}
	return fmt.Sprintf("%s of %s %3d%%", count(s.Table.Count), count(s.Table.Max), s.Table.Count*100/s.Table.Max)
}

// boardGrowth is how many entries came, less those that went.
func boardGrowth(s *drop.ConntrackSample) string {
	if s.Table.Growth == nil {
		return "-"
	}
	if g := *s.Table.Growth; g != 0 {
		return fmt.Sprintf("%+d", g)
	}
	return "0"
}

func (b *Board) fill(s Style, sample *drop.ConntrackSample, add func(color, text string)) {
	f := sample.Fill
	add(plainText, "")
	add(dim, "who fills "+boardNamespace(s, &sample.Netns)+": "+Plural(f.Entries, "entry", "entries"))
	share := func(n uint64) string {
		if f.Entries == 0 {
			return "0%"
		}
		return strconv.FormatUint(n*100/f.Entries, 10) + "%"
	}
	for _, st := range f.States {
		text := st.Protocol
		if st.State != "" {
			text += " " + st.State
		}
		if st.Unreplied {
			text += ", no reply"
		}
		if !st.Assured {
			text += ", may be evicted"
		}
		add(plainText, fmt.Sprintf("%10s %4s  %s", count(st.Count), share(st.Count), Escape(text, s.ASCII)))
	}
	for _, l := range []struct {
		what string
		rows []drop.FillCount
	}{{"from ", f.Sources}, {"to ", f.Destinations}} {
		for _, r := range l.rows {
			add(plainText, fmt.Sprintf("%10s %4s  %s", count(r.Count), share(r.Count), l.what+Escape(r.Key, s.ASCII)))
		}
	}
}

// Screen redraws a board in its place on a terminal.
type Screen struct {
	w     io.Writer
	lines int // of the board that stands there
}

// NewScreen draws on w, a terminal.
func NewScreen(w io.Writer) *Screen { return &Screen{w: w} }

// Draw replaces what was drawn before. height is the terminal's, 0 where it is
// not known: what does not fit is left out, since it could not be replaced.
func (c *Screen) Draw(lines []string, height int) error {
	if height > 1 && len(lines) > height-1 {
		lines = append(lines[:height-2:height-2], "...")
	}
	var b strings.Builder
	if c.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", c.lines)
	}
	for _, l := range lines {
		b.WriteString(l)
		b.WriteString("\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	c.lines = len(lines)
	_, err := io.WriteString(c.w, b.String())
	return err
}
