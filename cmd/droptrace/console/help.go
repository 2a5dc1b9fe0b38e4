package console

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// helpColumn is where the flags' descriptions begin.
const helpColumn = 26

// HelpText is what --help prints: an example first, since that is what most
// came for, then the flags in the order in which they are declared.
func HelpText(app *cli.App) string {
	return usageText(app.UsageText, app.Description, app.Flags)
}

// CommandHelp is the same for a command.
func CommandHelp(c *cli.Command) string {
	return usageText(c.UsageText, c.Description, c.Flags)
}

func usageText(usage, description string, flags []cli.Flag) string {
	var b strings.Builder
	b.WriteString("Usage: " + usage + "\n\n" + description + "\n")
	category := ""
	for i, f := range Describe(flags) {
		if i == 0 || f.Category != category {
			category = f.Category
			b.WriteByte('\n')
			if category != "" {
				b.WriteString(category + "\n")
			}
		}
		writeFlagHelp(&b, f)
	}
	return b.String()
}

// Description is what people are told about a flag.
type Description struct {
	Name     string // without dashes, as all names here
	Short    string // empty where there is none
	Value    string // what its value is called, empty where it takes none
	Usage    string
	Category string // the heading it is listed under, may be empty
}

// Describe returns the flags in the order in which they are declared, --help behind
// them: cli adds that one by itself.
func Describe(flags []cli.Flag) []Description {
	var out []Description
	for _, f := range flags {
		if d, ok := f.(describedFlag); ok {
			out = append(out, describe(d))
		}
	}
	help := describe(&cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "print this and end"})
	if len(out) > 0 {
		help.Category = out[len(out)-1].Category
	}
	return append(out, help)
}

// describedFlag is what every flag of cli can do.
type describedFlag interface {
	cli.DocGenerationFlag
	cli.CategorizableFlag
	Names() []string
}

// describe takes the name of the value from between the backquotes before the
// description.
func describe(f describedFlag) Description {
	d := Description{Name: f.Names()[0], Usage: f.GetUsage(), Category: f.GetCategory()}
	for _, n := range f.Names() {
		if len(n) == 1 {
			d.Short = n
		}
	}
	if rest, ok := strings.CutPrefix(d.Usage, "`"); ok {
		d.Value, d.Usage, _ = strings.Cut(rest, "` ")
	}
	return d
}

// writeFlagHelp writes "  -i, --iface NAME    description".
func writeFlagHelp(b *strings.Builder, f Description) {
	left := "      "
	if f.Short != "" {
		left = "  -" + f.Short + ", "
	}
	left += Dashed(f.Name)
	if f.Value != "" {
		left += " " + f.Value
	}
	b.WriteString(left)
	if pad := helpColumn - len(left); pad > 0 {
		b.WriteString(strings.Repeat(" ", pad))
	} else {
		b.WriteString("\n" + strings.Repeat(" ", helpColumn))
	}
	b.WriteString(f.Usage + "\n")
}
