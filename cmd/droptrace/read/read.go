// Package read is the command that shows recordings again, also beside a capture.
package read

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/live"
	"github.com/droptrace/droptrace/resolve/host/program"
)

// Command shows recordings again.
func Command(t console.Terminal) *cli.Command {
	cmd := &cli.Command{
		Name:      "read",
		Usage:     "a recording again; --correlate lays it beside tcpdump's",
		UsageText: "droptrace read [flags] FILE... [expression]",
		Description: `Shows what droptrace -w or --json has recorded, with every filter and output
of the live command. FILE is - for standard input. It needs no root.

    droptrace read drops.pcapng --port 80
    droptrace read drops.pcapng -w web.pcapng --chain INPUT
    droptrace read --correlate eth0.pcap drops.pcapng

With --correlate it says of each packet of a capture, which tcpdump took at the
same time on the same machine, whether it was dropped, by what, and how long
after. It takes the capture for whole: where equal packets came by several
interfaces and one was captured, narrow the drops with --in.`,
		Flags:                  readFlags(),
		UseShortOptionHandling: true,
		HideHelpCommand:        true,
	}
	cmd.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return console.UsageError(cmd.Flags, err) }
	cmd.CustomHelpTemplate = console.CommandHelp(cmd)
	cmd.Action = func(c *cli.Context) error {
		if !c.Args().Present() {
			return console.BadUsage(errors.New("no recording is given"), "droptrace read FILE")
		}
		files, text := filesFirst(c.Args().Slice())
		return readAction(c, t, files, text)
	}
	return cmd
}

// Recordings is the read command for the live one's -r.
func Recordings(t console.Terminal) live.Reader {
	return func(c *cli.Context, files []string, text string) error { return readAction(c, t, files, text) }
}

// filesFirst parts names of recordings from the words of an expression. The first
// argument is a file, others are where there is such a file.
func filesFirst(args []string) (files []string, text string) {
	n := 1
	for n < len(args) {
		if _, err := os.Stat(args[n]); err != nil && args[n] != "-" {
			break
		}
		n++
	}
	return args[:n], strings.Join(args[n:], " ")
}

// readFlags are those of the live command that need no tracing.
func readFlags() []cli.Flag {
	apart := []string{"read", "duration", "stack", "schema", "probes", "buffer-size", "all", "arrivals", "version"}
	flags := slices.DeleteFunc(live.Flags(), func(f cli.Flag) bool { return slices.Contains(apart, f.Names()[0]) })
	return append(flags, correlateFlags()...)
}

// readAction reads files, each a recording, one after the other; text is an
// expression.
func readAction(c *cli.Context, t console.Terminal, files []string, text string) error {
	o, err := live.ReadOptions(c)
	if err != nil {
		return err
	}
	f, err := o.Cfg.Filter.Recorded()
	if err != nil {
		return console.BadUsage(err)
	}
	program, err := console.CompileExpression(c.Context, program.Runner{}, text)
	if err != nil {
		return err
	}
	if c.IsSet("correlate") && program != nil {
		return console.BadUsage(errors.New("--correlate takes no expression"), "flags narrow the drops; tcpdump -r CAPTURE -w NARROWER narrows the capture")
	}
	if c.IsSet("correlate") {
		return correlateAction(c, t, o, f, files)
	}
	rec, err := live.NewRecorder(c.Context, o.Record, t, stats(files)...)
	if err != nil {
		return notEnough(notSignal(c.Context, err))
	}
	o.Cfg.Expression = text
	r := newReading(o, t, f, rec)
	r.expression = program
	return r.run(c.Context, files)
}

// stats returns what is known of files; one that cannot be read is told later.
func stats(files []string) []os.FileInfo {
	var out []os.FileInfo
	for _, name := range files {
		info, err := os.Stat(name)
		if name == "-" {
			info, err = os.Stdin.Stat()
		}
		if err == nil {
			out = append(out, info)
		}
	}
	return out
}
