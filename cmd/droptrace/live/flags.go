package live

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/live"
)

// recordFlags is the heading of the flags that record.
const recordFlags = "Recording:"

// Flags are the flags of the live command. Those of tcpdump, nft and
// iptables users win; -p and -o mean protocol and out-interface to some of them
// and are nothing here.
func Flags() []cli.Flag {
	flags := console.Filters(&live.Filter{}).Flags()
	flags = append(flags, &cli.BoolFlag{
		Name: "netfilter", Category: console.FilterFlags, Usage: "only drops by the firewall and conntrack",
	})
	text := func(category, usage, name string, aliases ...string) {
		flags = append(flags, &cli.StringFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	on := func(category, usage, name string, aliases ...string) {
		flags = append(flags, &cli.BoolFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	text(console.OutputFlags, "`FILE` show a recording again: droptrace read FILE", "read", "r")
	text(console.OutputFlags, "`FORMAT` text, json, or tcpdump: its lines with the drop behind", "output")
	on(console.OutputFlags, "the same as --output json: one object a line", "json")
	text(console.OutputFlags, "`N` end after so many drops were shown", "count", "c")
	text(console.OutputFlags, "`TIME` end after so long: 30s, 5m", "duration")
	on(console.OutputFlags, "with tcpdump's lines: its -t to -ttttt", "stamp", "t")
	on(console.OutputFlags, "no heading, status line, notes or closing summary", "quiet", "q")
	on(console.OutputFlags, "with the kernel's stack", "stack")
	on(console.OutputFlags, "accepted for habit: addresses are always numbers", "numeric", "n")
	on(console.OutputFlags, "without causes and fixes", "no-why")
	on(console.OutputFlags, "print the JSON schema of --output json and end", "schema")
	flags = append(flags, recordingFlags()...)
	text(console.TracerFlags, "`PLAN` auto, fentry, kprobe or tracepoint", "probes")
	text(console.TracerFlags, "`SIZE` the buffer in the kernel: 8M; 16M with -w", "buffer-size")
	on(console.TracerFlags, "count matching packets that came, dropped or not", "arrivals")
	on(console.TracerFlags, "also what the kernel frees without losing a packet", "all")
	on("", "print the version and end", "version")
	return flags
}

// Options are what the command line asks of the live command.
type Options struct {
	Cfg      live.Config
	Format   string // text, json or tcpdump
	stamp    output.Stamp
	Quiet    bool
	Limit    uint64 // 0 for none
	duration time.Duration
	Record   recordOptions
}

// ReadOptions reads the flags. What only the tracer can judge (names, addresses)
// is left to it.
func ReadOptions(c *cli.Context) (Options, error) {
	o := Options{Quiet: c.Bool("quiet"), Cfg: live.Config{
		All: c.Bool("all"), Stack: c.Bool("stack"), NoWhy: c.Bool("no-why"),
		Arrivals: c.Bool("arrivals"),
	}}
	o.Cfg.Filter.Netfilter = c.Bool("netfilter")
	for _, f := range console.Filters(&o.Cfg.Filter) {
		*f.Values = c.StringSlice(f.Name)
		if slices.Contains(*f.Values, "") {
			return o, console.BadUsage(fmt.Errorf("--%s has an empty value", f.Name), "values are parted by one comma, without spaces")
		}
	}
	var errs [7]error
	o.Format, errs[0] = console.ReadFormat(c, "text", "json", "tcpdump")
	o.Cfg.Probes, errs[1] = console.OneOf(c, "probes", "auto", "fentry", "kprobe", "tracepoint")
	o.Limit, errs[2] = console.ReadCount(c)
	o.duration, errs[3] = console.ReadDuration(c)
	o.Cfg.BufferSize, errs[4] = console.ReadSize(c)
	o.Record, errs[5] = readRecordOptions(c)
	o.Cfg.Snaplen = o.Record.snaplen
	o.stamp, errs[6] = readStamp(c, o.Format)
	for _, err := range errs {
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// readStamp is the time of a line as tcpdump gives it, where the line is tcpdump's.
func readStamp(c *cli.Context, format string) (output.Stamp, error) {
	stamp := output.Stamp(c.Count("stamp"))
	switch {
	case stamp > 0 && format != "tcpdump":
		return 0, console.BadUsage(errors.New("-t is for lines as tcpdump has them"), "give --output tcpdump too")
	case stamp > output.StampFirst:
		return 0, console.BadUsage(errors.New("-t is given too often"), "tcpdump knows -t to -ttttt")
	}
	return stamp, nil
}
