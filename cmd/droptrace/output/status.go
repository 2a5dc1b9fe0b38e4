package output

import (
	"io"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// clearLine goes to the first column and erases to the end of the line.
const clearLine = "\r\x1b[K"

// Status is the one line that lives on a terminal while nothing drops: it says
// that droptrace is awake. A nil Status shows nothing.
type Status struct {
	w     io.Writer
	style Style
	there bool // the line stands on the terminal
}

// NewStatus keeps its line on w, a terminal.
func NewStatus(w io.Writer, s Style) *Status { return &Status{w: w, style: s} }

// SetWidth adapts to a terminal that was resized.
func (s *Status) SetWidth(columns int) {
	if s != nil {
		s.style.Width = columns
	}
}

// Show writes the line anew. A terminal that cannot be written is no reason to
// stop: the error is left to the output itself.
func (s *Status) Show(elapsed time.Duration, dropped, matched uint64, a *drop.Arrivals) {
	if s == nil {
		return
	}
	text := seconds(elapsed.Truncate(time.Second)) + s.style.sep() +
		Plural(dropped, "packet dropped", "packets dropped") + s.style.sep() + count(matched) + " matched"
	if a != nil {
		text += s.style.sep() + count(a.Arrived) + " arrived, " + count(a.Sent) + " sent"
	}
	if s.style.Width > 0 { // a line that wraps could not be erased
		text, _ = cut(text, s.style.Width-1, 0, false)
	}
	b := append([]byte(clearLine), text...)
	for i := range b {
		if b[i] == glue {
			b[i] = ' '
		}
	}
	s.there = true
	_, _ = s.w.Write(b)
}

// End leaves a clean line for the closing words, also where the terminal has
// echoed a ^C.
func (s *Status) End() {
	if s != nil {
		s.there = true
		s.Erase()
	}
}

// Erase takes the line away, before anything else is written.
func (s *Status) Erase() {
	if s == nil || !s.there {
		return
	}
	s.there = false
	_, _ = io.WriteString(s.w, clearLine)
}
