package diagnose

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quote makes one word of the shell out of s, whatever s holds: names, comments
// and elements come from strangers. sh, bash, zsh and fish read the same word: within
// quotes a backslash is itself to all but fish, so that it stands outside of them. ok
// is false for what no command should carry: control characters and what is not
// UTF-8.
func quote(s string) (word string, ok bool) {
	if s == "" {
		return "''", true
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", false
	}
	if !strings.ContainsFunc(s, special) && s[0] != '=' && s[0] != '%' {
		return s, true
	}
	return "'" + strings.NewReplacer("'", `'\''`, `\`, `'\\'`).Replace(s) + "'", true
}

// special reports whether a shell may read more than itself into r. At the
// beginning of a word zsh does so with =, too.
func special(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("-_./:,@%+=", r)
}

// shell is shell, and notes that there is no command where there is none.
func (d *diagnosis) shell(words ...string) string {
	command := shell(words...)
	d.unnamed = d.unnamed || command == ""
	return command
}

// shell joins words to a command line; "" where one of them cannot be carried.
func shell(words ...string) string {
	var b strings.Builder
	for i, w := range words {
		q, ok := quote(w)
		if !ok {
			return ""
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(q)
	}
	return b.String()
}

// in puts the way into the namespace before a command; "" where none is known.
func (n Namespace) in(command string) string {
	if command == "" {
		return ""
	}
	switch {
	case n.Own:
		return command
	case n.Name != "":
		if strings.HasPrefix(n.Name, "-") || strings.Contains(n.Name, "/") {
			return "" // ip would take it for an option, or for a path
		}
		if prefix := shell("ip", "netns", "exec", n.Name); prefix != "" {
			return prefix + " " + command
		}
	case n.PID > 0:
		return "nsenter -t " + strconv.Itoa(n.PID) + " -n " + command
	}
	return ""
}

// all does so for each of the commands; nil where one of them has no way.
func (n Namespace) all(commands []string) []string {
	var ways []string
	for _, c := range commands {
		way := n.in(c)
		if way == "" {
			return nil
		}
		ways = append(ways, way)
	}
	return ways
}

var errUnterminated = errors.New("quote is not closed")

// splitSaved splits a rule as iptables-save writes it into its arguments:
// xtables_save_string puts a word with unusual characters into double quotes and
// a backslash before ", ' and \.
func splitSaved(text string) ([]string, error) {
	var args []string
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		word, rest, err := savedWord(text)
		if err != nil {
			return nil, err
		}
		args, text = append(args, word), rest
	}
	return args, nil
}

// savedWord takes the first word off.
func savedWord(text string) (word, rest string, err error) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == ' ' && !quoted:
			return b.String(), text[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errUnterminated
	}
	return b.String(), "", nil
}
