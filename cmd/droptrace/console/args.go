package console

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves flags before the words of an expression, as tcpdump's getopt
// does: package flag would take all that follows the first word for words. What
// follows "--" is words. A command's name keeps its place, and its own flags are
// moved behind it.
func flagsFirst(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	out, words, command := part(args[1:], app.Flags, app.Command)
	out = append(args[:1:1], out...)
	if command != nil {
		out = append(out, words[0])
		flags, rest, _ := part(words[1:], command.Flags, nil)
		out, words = append(out, flags...), rest
	}
	if len(words) > 0 {
		out = append(append(out, "--"), words...)
	}
	return out
}

// part takes flags with their values apart from words. It ends at a first word
// that is a command's name; words then begins with it.
func part(args []string, known []cli.Flag, commands func(string) *cli.Command) (flags, words []string, command *cli.Command) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return flags, append(words, args[i+1:]...), nil
		case len(arg) < 2 || arg[0] != '-':
			if len(words) == 0 && commands != nil {
				if c := commands(arg); c != nil {
					return flags, args[i:], c
				}
			}
			words = append(words, arg)
		default:
			flags = append(flags, arg)
			if TakesValue(arg, known) && i+1 < len(args) {
				i++
				flags = append(flags, args[i])
			}
		}
	}
	return flags, words, nil
}

// TakesValue reports whether the next argument is the value of this flag; of
// flags in one, such as -ni, the last one's.
func TakesValue(arg string, known []cli.Flag) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	if f := FlagNamed(name, known); f != nil {
		return valued(f)
	}
	if strings.HasPrefix(arg, "--") || name == "" {
		return false
	}
	f := FlagNamed(name[len(name)-1:], known)
	return f != nil && valued(f)
}

// FlagNamed is the flag that has the name, long or short, without dashes; nil for none.
func FlagNamed(name string, known []cli.Flag) cli.Flag {
	i := slices.IndexFunc(known, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return known[i]
}

func valued(f cli.Flag) bool {
	_, isBool := f.(*cli.BoolFlag)
	return !isBool
}
