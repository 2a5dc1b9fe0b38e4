// Package live is droptrace without a command: it traces this machine.
package live

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/source"
)

// App is the command line of droptrace without a command: it traces, or reads
// a recording (-r). Its help lists the commands.
func App(t console.Terminal, open source.Opener, read Reader, commands []*cli.Command) *cli.App {
	app := &cli.App{
		Name:      "droptrace",
		Usage:     "show the packets that the kernel drops, and the rule that dropped each",
		UsageText: "droptrace [flags] [expression]\n       droptrace COMMAND [flags]",
		Description: `Shows every packet that the kernel drops, with the rule that dropped it:

    droptrace --port 80               drops of one service
    droptrace 'tcp port 80 and not net 10'         as tcpdump has it
    droptrace -i eth0 --json          all on one interface, for programs
    droptrace -w drops.pcapng         recorded, for Wireshark and for later
    droptrace read drops.pcapng       a recording again (droptrace read --help)

It changes nothing on the machine that it watches. It needs root. Filters narrow
what is shown: the values of one flag (repeated, or with commas) are
alternatives, and all flags must match. Ports and hosts match the packet, its
conntrack entry in both directions, and the header quoted in an ICMP error. An
expression of tcpdump's (man pcap-filter) narrows further and sees the packet
only, as it was when it was dropped; tcpdump must be installed to compile it.

Commands, each with a --help of its own:

` + list(commands) + `
Exit codes: 0 ended as asked, 1 failed, 2 bad usage, 3 doctor has findings.`,
		Commands:        commands,
		Flags:           Flags(),
		Writer:          t.Stdout,
		ErrWriter:       t.Stderr,
		HideVersion:     true, // -v means verbose to many; --version is a flag of ours
		HideHelpCommand: true,
		// Habits: -ni eth0, -nq.
		UseShortOptionHandling: true,
		ExitErrHandler:         func(*cli.Context, error) {},
		OnUsageError:           func(c *cli.Context, err error, _ bool) error { return console.UsageError(c.App.Flags, err) },
	}
	app.CustomAppHelpTemplate = console.HelpText(app) // a template with no actions
	app.Action = func(c *cli.Context) error {
		if c.Bool("version") {
			return console.PrintVersion(t.Stdout)
		}
		return liveAction(c, t, open, read)
	}
	return app
}

// list is a line for each command.
func list(commands []*cli.Command) string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "    %-10s  %s\n", c.Name, c.Usage)
	}
	return b.String()
}
