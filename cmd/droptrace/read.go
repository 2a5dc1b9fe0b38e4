package main

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/tracer/filter"
)

// readCommand shows recordings again.
func readCommand(t terminal) *cli.Command {
	cmd := &cli.Command{
		Name:      "read",
		Usage:     "show a recording again",
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
	cmd.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return usageError(cmd.Flags, err) }
	cmd.CustomHelpTemplate = commandHelp(cmd)
	cmd.Action = func(c *cli.Context) error {
		if !c.Args().Present() {
			return badUsage(errors.New("no recording is given"), "droptrace read FILE")
		}
		files, text := filesFirst(c.Args().Slice())
		return readAction(c, t, files, text)
	}
	return cmd
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
	flags := slices.DeleteFunc(liveFlags(), func(f cli.Flag) bool { return slices.Contains(apart, f.Names()[0]) })
	return append(flags, correlateFlags()...)
}

// readAction reads files, each a recording, one after the other; text is an
// expression.
func readAction(c *cli.Context, t terminal, files []string, text string) error {
	o, err := readOptions(c)
	if err != nil {
		return err
	}
	f, err := recordedFilter(o.cfg.Filter)
	if err != nil {
		return badUsage(err)
	}
	program, err := compileExpression(c.Context, program.Runner{}, text)
	if err != nil {
		return err
	}
	if c.IsSet("correlate") && program != nil {
		return badUsage(errors.New("--correlate takes no expression"), "flags narrow the drops; tcpdump -r CAPTURE -w NARROWER narrows the capture")
	}
	if c.IsSet("correlate") {
		return correlateAction(c, t, o, f, files)
	}
	rec, err := newRecorder(c.Context, o.record, t, stats(files)...)
	if err != nil {
		return notEnough(notSignal(c.Context, err))
	}
	o.cfg.Expression = text
	r := newReading(o, t, f, rec)
	r.expression = program
	return r.run(c.Context, files)
}

func recordedFilter(f Filter) (*filter.Filter, error) {
	return filter.ParseRecorded(filter.Spec{
		Port: f.Port, Sport: f.Sport, Dport: f.Dport, Host: f.Host, Src: f.Src, Dst: f.Dst,
		Proto: f.Proto, Iface: f.Iface, In: f.In, Out: f.Out, Hook: f.Hook, Table: f.Table,
		Chain: f.Chain, CTState: f.CTState, Mark: f.Mark, Netfilter: f.Netfilter,
		Netns: f.Netns, Reason: f.Reason,
	})
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
