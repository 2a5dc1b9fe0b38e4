package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves the flags of a command before its other arguments, since
// package flag stops at the first of those and `droptrace read FILE --json` must
// not take --json for a file. What stands behind -- stays there.
func flagsFirst(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	command := app.Command(args[1])
	if command == nil {
		return args
	}
	takesValue := valueFlags(command.Flags)
	flags, rest := slices.Clone(args[:2]), []string(nil)
	for i := 2; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return slices.Concat(flags, args[i:i+1], rest, args[i+1:])
		case len(a) < 2 || a[0] != '-':
			rest = append(rest, a)
			continue
		}
		flags = append(flags, a)
		name := strings.TrimLeft(a, "-")
		if !strings.HasPrefix(a, "--") && !takesValue[name] {
			name = name[len(name)-1:] // -nc 5: the last of several letters
		}
		if takesValue[name] && !strings.Contains(a, "=") && i+1 < len(args) {
			i++
			flags = append(flags, args[i])
		}
	}
	return append(flags, rest...)
}

// valueFlags are the flags whose value may be the next argument.
func valueFlags(flags []cli.Flag) map[string]bool {
	takes := make(map[string]bool)
	for _, f := range flags {
		if _, on := f.(*cli.BoolFlag); on {
			continue
		}
		for _, n := range f.Names() {
			takes[n] = true
		}
	}
	return takes
}
