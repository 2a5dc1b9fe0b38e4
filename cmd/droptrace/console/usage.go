package console

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/resolve/near"
)

// UsageError turns what package flag says about a command line into our words:
// the flag as it was written, and what it may have been meant for.
func UsageError(flags []cli.Flag, err error) error {
	const (
		unknown = "flag provided but not defined: "
		missing = "flag needs an argument: "
		badBool = "invalid boolean value "
		syntax  = "bad flag syntax: "
	)
	text := err.Error()
	if name, ok := strings.CutPrefix(text, unknown); ok {
		return unknownFlag(strings.TrimLeft(name, "-"), flags)
	}
	if name, ok := strings.CutPrefix(text, missing); ok {
		return BadUsage(fmt.Errorf("%s needs a value", Dashed(strings.TrimLeft(name, "-"))), "see --help")
	}
	if rest, ok := strings.CutPrefix(text, badBool); ok {
		if value, name, ok := strings.Cut(strings.TrimSuffix(rest, ": parse error"), " for -"); ok {
			return BadUsage(fmt.Errorf("%s takes no value, got %s", Dashed(name), value), "leave the value out")
		}
	}
	if arg, ok := strings.CutPrefix(text, syntax); ok {
		return BadUsage(fmt.Errorf("%q is no flag", arg), "see --help")
	}
	return BadUsage(errors.New(text), "see --help")
}

// Dashed writes a flag as people do.
func Dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// unknownFlag offers, in this order, what habit, a slip or getopt may have meant.
func unknownFlag(name string, flags []cli.Flag) error {
	hint := "see --help"
	var long []string
	for _, f := range flags {
		for _, n := range f.Names() {
			if len(n) > 1 {
				long = append(long, n)
			}
		}
	}
	found := near.Names(name, long)
	for i := range found {
		found[i] = Dashed(found[i])
	}
	switch written := attached(name); {
	case name == "p": // habits from elsewhere
		hint = "--port and --proto are written out"
	case name == "o":
		hint = "--out and --output are written out"
	case name == "v":
		hint = "--version is written out, and all that is known is always told"
	case len(found) > 0:
		hint = "did you mean " + Either(found) + "?"
	case written != "":
		return BadUsage(fmt.Errorf("no flag -%s", name), "did you mean "+written+"?")
	}
	return BadUsage(fmt.Errorf("no flag %s", Dashed(name)), hint)
}

// attached takes -c5 and -ieth0 apart, which getopt allows and package flag does
// not.
func attached(name string) string {
	if len(name) < 2 || name[0] != 'c' && name[0] != 'i' {
		return ""
	}
	if name[0] == 'c' && strings.Trim(name[1:], "0123456789") != "" {
		return ""
	}
	return "-" + name[:1] + " " + name[1:]
}

// Either joins names for a sentence: "a", "a or b", "a, b or c".
func Either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
