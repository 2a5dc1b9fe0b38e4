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
	category := "\x00"
	for _, f := range flags {
		d, ok := f.(describedFlag)
		if !ok {
			continue
		}
		if c := d.GetCategory(); c != category {
			category = c
			b.WriteByte('\n')
			if c != "" {
				b.WriteString(c + "\n")
			}
		}
		writeFlagHelp(&b, d)
	}
	writeFlagHelp(&b, &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "print this and end"})
	return b.String()
}

// describedFlag is what every flag of cli can do.
type describedFlag interface {
	cli.DocGenerationFlag
	cli.CategorizableFlag
	Names() []string
}

// writeFlagHelp writes "  -i, --iface NAME    description": the name of the
// value stands between backquotes before the description.
func writeFlagHelp(b *strings.Builder, f describedFlag) {
	left := "      "
	for _, n := range f.Names() {
		if len(n) == 1 {
			left = "  -" + n + ", "
		}
	}
	left += Dashed(f.Names()[0])
	usage := f.GetUsage()
	if rest, ok := strings.CutPrefix(usage, "`"); ok {
		var value string
		value, usage, _ = strings.Cut(rest, "` ")
		left += " " + value
	}
	b.WriteString(left)
	if pad := helpColumn - len(left); pad > 0 {
		b.WriteString(strings.Repeat(" ", pad))
	} else {
		b.WriteString("\n" + strings.Repeat(" ", helpColumn))
	}
	b.WriteString(usage + "\n")
}
