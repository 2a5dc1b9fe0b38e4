package output

import (
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// Escape makes s harmless to a terminal. Packets, rules, comments, interface and
// namespace names are written by strangers: a comment may hold an escape
// sequence that sets a title or answers for the user, a bidi override that
// turns a rule around, a newline that forges a drop.
//
// What cannot be printed becomes \n, \xff (a byte) or \u202e (a rune); with
// ascii everything beyond ASCII does. Printable text, a backslash too, stays as
// it is, so that a rule can be copied.
func Escape(s string, ascii bool) string {
	if plain(s) {
		return s
	}
	return string(appendEscaped(make([]byte, 0, len(s)+16), s, ascii))
}

// plain is the way of nearly all names: nothing to do, nothing allocated.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// appendEscaped is Escape for text that is being put together.
func appendEscaped(dst []byte, s string, ascii bool) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c <= '~' {
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = appendHexByte(dst, s[i])
		case r < ' ' || r == 0x7f:
			dst = appendControl(dst, byte(r))
		// IsPrint refuses every format and bidi control, every space but
		// ASCII's own, and what Unicode has not assigned.
		case ascii || !strconv.IsPrint(r):
			dst = appendEscapedRune(dst, r)
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}

// appendControl names those that people know by a letter.
func appendControl(dst []byte, c byte) []byte {
	switch c {
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return appendHexByte(dst, c)
}

func appendHexByte(dst []byte, c byte) []byte {
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}

// appendEscapedRune writes \u202e, or \U0001f600 where four digits are too few.
func appendEscapedRune(dst []byte, r rune) []byte {
	digits := 4
	if r > 0xffff {
		digits = 8
		dst = append(dst, `\U`...)
	} else {
		dst = append(dst, `\u`...)
	}
	for i := digits - 1; i >= 0; i-- {
		dst = append(dst, hexDigits[r>>(4*i)&15])
	}
	return dst
}
