package output

import "strings"

// Where lines begin: a drop's facts stand under its flow, a label before them.
const (
	labelIndent = 2
	labelWidth  = 8
	bodyIndent  = labelIndent + labelWidth
	// narrowIndent is used where bodyIndent would leave too little.
	narrowIndent = 4
	narrow       = 34
	flowIndent   = 4
)

// line is one logical line before it meets the width of a terminal.
type line struct {
	label      string // printed before the text, in its own column
	labelColor string
	text       string // escaped; may hold glue
	color      string
	indent     int    // of the text, the lines that continue it included
	first      int    // of the text's first line, where there is no label
	carry      string // ends each line that is continued, such as " \"
}

// appendLine writes l, broken at spaces where the style has a width.
func (s Style) appendLine(dst []byte, l line) []byte {
	hang, first := l.indent, l.first
	if s.Width > 0 && s.Width < narrow {
		hang = min(hang, narrowIndent)
	}
	if l.label != "" {
		dst = appendSpaces(dst, labelIndent)
		dst = s.appendColored(dst, l.labelColor, l.label)
		pad := max(labelWidth-width(l.label), 1)
		dst = appendSpaces(dst, pad)
		first = labelIndent + width(l.label) + pad
	} else {
		dst = appendSpaces(dst, first)
	}
	rest, room := l.text, s.Width-first
	for {
		var part string
		part, rest = cut(rest, room, width(l.carry), s.Width <= 0)
		part = strings.ReplaceAll(part, string(glue), " ")
		dst = s.appendColored(dst, l.color, part)
		if rest == "" {
			return append(dst, '\n')
		}
		dst = append(dst, l.carry...)
		dst = append(dst, '\n')
		dst = appendSpaces(dst, hang)
		room = s.Width - hang
	}
}

// cut takes from text what fits into room columns, up to a space, and leaves
// carry columns free unless it takes all. A word longer than the room is not
// broken: a terminal does that and still copies it whole. With a carry text is a
// command, and glue stands in one word of it.
func cut(text string, room, carry int, unlimited bool) (part, rest string) {
	if unlimited {
		return text, ""
	}
	space, soft, used := -1, -1, 0
	for i, r := range text {
		switch r {
		case ' ':
			if used <= room-carry || space < 0 && soft < 0 {
				space = i
			}
		case glue:
			if carry == 0 && (used <= room || space < 0 && soft < 0) {
				soft = i
			}
		}
		if used += columns(r); used > room && (space >= 0 || soft >= 0) {
			break
		}
	}
	if used <= room {
		return text, ""
	}
	at := space
	if at <= 0 {
		at = soft
	}
	if at <= 0 {
		return text, ""
	}
	return text[:at], text[at+1:]
}

// glueFlow keeps together what tcpdump writes between its commas and colons:
// "win 64240" is one fact.
func glueFlow(b []byte) {
	for i := 1; i < len(b); i++ {
		if b[i] != ' ' {
			continue
		}
		switch b[i-1] {
		case ',', ':', '>':
		default:
			b[i] = glue
		}
	}
}

// glued keeps the words of s on one line where that can be.
func glued(s string) string { return strings.ReplaceAll(s, " ", string(glue)) }

func appendSpaces(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, ' ')
	}
	return dst
}

// shellWords glues what stands between quotes: a line that is broken there
// would change what the shell reads.
func shellWords(s string) string {
	if !strings.ContainsAny(s, `"'`) {
		return s
	}
	b, quote := []byte(s), byte(0)
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		case c == ' ' && quote != 0:
			b[i] = glue
		}
	}
	return string(b)
}
