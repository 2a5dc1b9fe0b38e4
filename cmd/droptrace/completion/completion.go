// Package completion answers a shell that asks how a command line may go on. The
// shells' scripts (scripts/package/completion) know no flag: they run
//
//	droptrace __complete WORD... CURRENT
//
// with the words after the program's name up to the cursor. The last word may be empty.
// It prints a line for each candidate: the word, a tab, what it is. A last line ":files"
// says that names of files fit too.
//
// Names come from whoever made an interface, a chain or a namespace. A shell inserts
// what it is given, so only words that no shell reads as more are offered.
package completion

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
)

// asked is the first argument of a shell that asks.
const asked = "__complete"

// Candidate is a word that may stand at the cursor.
type Candidate struct {
	Word  string
	About string // may be empty
}

// Answer is what may stand at the cursor.
type Answer struct {
	Candidates []Candidate
	Files      bool // names of files, which the shell knows better
}

// Asked returns the words of a shell's question, and false for any other command line.
func Asked(args []string) (words []string, ok bool) {
	if len(args) < 2 || args[1] != asked {
		return nil, false
	}
	if len(args) == 2 {
		return []string{""}, true
	}
	return args[2:], true
}

// Print answers a shell.
func Print(ctx context.Context, w io.Writer, app *cli.App, words []string) error {
	a := Complete(ctx, app, words)
	var b strings.Builder
	for _, c := range a.Candidates {
		fmt.Fprintf(&b, "%s\t%s\n", c.Word, output.Escape(c.About, false))
	}
	if a.Files {
		b.WriteString(":files\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Complete answers for the words up to the cursor: at least one.
func Complete(ctx context.Context, app *cli.App, words []string) Answer {
	current := words[len(words)-1]
	l := parse(app, words[:len(words)-1])
	switch name, value, joined := strings.Cut(current, "="); {
	case l.valueOf != nil:
		return l.values(ctx, l.valueOf, "", current)
	case l.wordsOnly:
		return l.word(app, current)
	case joined && strings.HasPrefix(name, "--"):
		f := console.FlagNamed(name[2:], l.flags)
		if f == nil || !console.TakesValue(name, l.flags) {
			return Answer{}
		}
		return l.values(ctx, f, name+"=", value)
	case strings.HasPrefix(current, "-"):
		return Answer{Candidates: flags(l.flags, current)}
	}
	return l.word(app, current)
}

// line is what the words before the cursor say.
type line struct {
	command   *cli.Command // nil for tracing
	flags     []cli.Flag   // that may follow
	given     map[string]string
	words     int      // those that are no flags
	wordsOnly bool     // after --
	valueOf   cli.Flag // whose value the cursor is on, else nil
}

// parse goes the way of the command line itself: flags may stand among the words.
func parse(app *cli.App, words []string) line {
	l := line{flags: app.Flags, given: make(map[string]string)}
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case l.wordsOnly:
			l.words++
		case word == "--":
			l.wordsOnly = true
		case len(word) > 1 && word[0] == '-':
			name, value, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
			if console.TakesValue(word, l.flags) {
				f := valued(name, l.flags)
				if i++; i == len(words) {
					l.valueOf = f
					return l
				}
				name, value = f.Names()[0], words[i]
			}
			l.given[name] = value
		case l.words == 0 && l.command == nil && app.Command(word) != nil:
			l.command = app.Command(word)
			l.flags = l.command.Flags
		default:
			l.words++
		}
	}
	return l
}

// valued is the flag that takes the value: of several letters in one the last.
func valued(name string, known []cli.Flag) cli.Flag {
	if f := console.FlagNamed(name, known); f != nil {
		return f
	}
	return console.FlagNamed(name[len(name)-1:], known)
}

// word answers where no flag stands: a command, or a recording to read. An expression
// is for tcpdump to know.
func (l *line) word(app *cli.App, current string) Answer {
	if l.command != nil {
		return Answer{Files: l.command.Name == "read"}
	}
	var a Answer
	if l.words > 0 || l.wordsOnly {
		return a
	}
	for _, c := range app.Commands {
		if strings.HasPrefix(c.Name, current) {
			a.Candidates = append(a.Candidates, Candidate{c.Name, c.Usage})
		}
	}
	return a
}

// flags lists each by its long name; by its letter too where nothing but a dash is
// there.
func flags(known []cli.Flag, current string) []Candidate {
	var out []Candidate
	for _, d := range console.Describe(known) {
		if word := console.Dashed(d.Name); strings.HasPrefix(word, current) {
			out = append(out, Candidate{word, d.Usage})
		}
		if d.Short != "" && current == "-" {
			out = append(out, Candidate{"-" + d.Short, d.Usage})
		}
	}
	return out
}
