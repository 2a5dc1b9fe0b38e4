package output

import (
	"strings"
	"unicode"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Style is what a stream can show.
type Style struct {
	Width int  // columns; 0 means that lines are not wrapped
	Color bool // escape sequences are understood
	ASCII bool // the locale is not UTF-8
	// OneNetns: all is of one namespace, which the heading names.
	OneNetns bool
}

// The colours, few on purpose: what died stands out, what mends it too.
const (
	plainText = ""
	bold      = "\x1b[1m"
	dim       = "\x1b[2m"
	red       = "\x1b[31m"
	green     = "\x1b[32m"
	yellow    = "\x1b[33m"
	resetAll  = "\x1b[0m"
)

// glue is a space at which a line is broken only where nothing else helps. It
// can stand in a composed line because Escape lets no control character in.
const glue = '\x00'

// Join parts facts of a line that is not wrapped.
func (s Style) Join(facts []string) string {
	return strings.Join(facts, strings.ReplaceAll(s.sep(), string(glue), " "))
}

// netns names a namespace where that says something.
func (s Style) netns(n *drop.Netns) string {
	if s.OneNetns {
		return ""
	}
	return netnsName(n, s.ASCII)
}

// sep parts facts of one line. It clings to the fact before it.
func (s Style) sep() string {
	if s.ASCII {
		return "\x00| "
	}
	return "\x00· "
}

func (s Style) arrow() string {
	if s.ASCII {
		return "\x00->\x00"
	}
	return "\x00→\x00"
}

func (s Style) ellipsis() string {
	if s.ASCII {
		return "..."
	}
	return "…"
}

// appendColored puts text between a colour and its end.
func (s Style) appendColored(dst []byte, color, text string) []byte {
	if !s.Color || color == plainText {
		return append(dst, text...)
	}
	dst = append(dst, color...)
	dst = append(dst, text...)
	return append(dst, resetAll...)
}

// columns returns how many columns a terminal gives to r.
func columns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
		r >= 0x3000 && r <= 0x303e, r >= 0xff01 && r <= 0xff60,
		r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}

// width is what a terminal will need for s.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}
