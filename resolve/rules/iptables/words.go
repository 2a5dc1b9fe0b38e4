package iptables

import (
	"fmt"
	"strings"
)

// word is one argument. What was quoted is never an option.
type word struct {
	text   string
	quoted bool
}

// splitSave splits a line as iptables-restore does (add_param_to_argv): only
// double quotes quote, and a backslash only inside them.
func splitSave(line string) ([]word, error) {
	return split(line, false)
}

// splitCommand splits a command as a shell does, without its expansions.
func splitCommand(line string) ([]word, error) {
	return split(line, true)
}

func split(line string, shell bool) ([]word, error) {
	words := make([]word, 0, strings.Count(line, " ")+1)
	for {
		for line != "" && isSpace(line[0]) {
			line = line[1:]
		}
		if line == "" {
			return words, nil
		}
		w, rest, err := nextWord(line, shell)
		if err != nil {
			return nil, err
		}
		words, line = append(words, w), rest
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// nextWord takes the word that line begins with.
func nextWord(line string, shell bool) (w word, rest string, err error) {
	// Most words are plain.
	end := 0
	for end < len(line) && !isSpace(line[end]) && line[end] != '"' && line[end] != '\'' && line[end] != '\\' {
		end++
	}
	if end == len(line) || isSpace(line[end]) {
		return word{text: line[:end]}, line[end:], nil
	}
	var text strings.Builder
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && (quote == '"' || shell && quote == 0) && i+1 < len(line):
			i++
			text.WriteByte(line[i])
		case c == quote && quote != 0:
			quote = 0
		case quote == 0 && (c == '"' || shell && c == '\''):
			quote, w.quoted = c, true
		case quote == 0 && isSpace(c):
			w.text = text.String()
			return w, line[i:], nil
		default:
			text.WriteByte(c)
		}
	}
	if quote != 0 {
		return w, "", fmt.Errorf("a quote is not closed: %w", ErrSyntax)
	}
	w.text = text.String()
	return w, "", nil
}

// quoteWord writes a word as iptables-save does (xtables_save_string).
func quoteWord(s string) string {
	if s != "" && strings.IndexFunc(s, needsQuote) < 0 {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range []byte(s) {
		if r == '"' || r == '\'' || r == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(r)
	}
	b.WriteByte('"')
	return b.String()
}

func needsQuote(r rune) bool {
	return r <= ' ' || strings.ContainsRune("\"'\\`$&;|<>*?()#~{}", r)
}

func joinWords(words []word) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quoteWord(w.text)
	}
	return strings.Join(quoted, " ")
}
