package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/live"
	"github.com/droptrace/droptrace/resolve/near"
)

// The headings of --help.
const (
	filterFlags = "Filters:"
	outputFlags = "Output:"
	recordFlags = "Recording:"
	tracerFlags = "Tracing:"
)

// liveFlags are the flags of the live command. Those of tcpdump, nft and
// iptables users win; -p and -o mean protocol and out-interface to some of them
// and are nothing here.
func liveFlags() []cli.Flag {
	flags := filters(&live.Filter{}).flags()
	flags = append(flags, &cli.BoolFlag{
		Name: "netfilter", Category: filterFlags, Usage: "only drops by the firewall and conntrack",
	})
	text := func(category, usage, name string, aliases ...string) {
		flags = append(flags, &cli.StringFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	on := func(category, usage, name string, aliases ...string) {
		flags = append(flags, &cli.BoolFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	text(outputFlags, "`FILE` show a recording again: droptrace read FILE", "read", "r")
	text(outputFlags, "`FORMAT` text, json, or tcpdump: its lines with the drop behind", "output")
	on(outputFlags, "the same as --output json: one object a line", "json")
	text(outputFlags, "`N` end after so many drops were shown", "count", "c")
	text(outputFlags, "`TIME` end after so long: 30s, 5m", "duration")
	on(outputFlags, "with tcpdump's lines: its -t to -ttttt", "stamp", "t")
	on(outputFlags, "no heading, status line, notes or closing summary", "quiet", "q")
	on(outputFlags, "with the kernel's stack", "stack")
	on(outputFlags, "accepted for habit: addresses are always numbers", "numeric", "n")
	on(outputFlags, "without causes and fixes", "no-why")
	on(outputFlags, "print the JSON schema of --output json and end", "schema")
	flags = append(flags, recordingFlags()...)
	text(tracerFlags, "`PLAN` auto, fentry, kprobe or tracepoint", "probes")
	text(tracerFlags, "`SIZE` the buffer in the kernel: 8M; 16M with -w", "buffer-size")
	on(tracerFlags, "count matching packets that came, dropped or not", "arrivals")
	on(tracerFlags, "also what the kernel frees without losing a packet", "all")
	on("", "print the version and end", "version")
	return flags
}

// filterFlag ties a list flag to its field.
type filterFlag struct {
	name, alias, usage string
	values             *[]string
}

type filterList []filterFlag

// filters lists the filter flags with their fields of f.
func filters(f *live.Filter) filterList {
	return filterList{
		{"port", "", "`PORT` source or destination port: 80, 8000-8010, http", &f.Port},
		{"sport", "", "`PORT` source port", &f.Sport},
		{"dport", "", "`PORT` destination port", &f.Dport},
		{"host", "", "`ADDRESS` source or destination: 10.0.0.1, 2001:db8::/32", &f.Host},
		{"src", "", "`ADDRESS` source address or network", &f.Src},
		{"dst", "", "`ADDRESS` destination address or network", &f.Dst},
		{"proto", "", "`PROTO` tcp, udp, icmp and others, or a number", &f.Proto},
		{"iface", "i", "`NAME` in or out interface", &f.Iface},
		{"in", "", "`NAME` in interface", &f.In},
		{"out", "", "`NAME` out interface", &f.Out},
		{"netns", "", "`NETNS` network namespace: a name, a path, pid:N, inode:N", &f.Netns},
		{"hook", "", "`HOOK` prerouting, input, forward, output, postrouting", &f.Hook},
		{"table", "", "`NAME` table of the dropping rule", &f.Table},
		{"chain", "", "`NAME` chain of the dropping rule", &f.Chain},
		{"reason", "", "`REASON` the kernel's drop reason: NO_SOCKET", &f.Reason},
		{"ctstate", "", "`STATE` conntrack: new, established, related, invalid", &f.CTState},
		{"mark", "", "`MARK[/MASK]` packet mark: 0x1/0xff", &f.Mark},
	}
}

// flags declares the list as flags of the command line.
func (l filterList) flags() []cli.Flag {
	var flags []cli.Flag
	for _, f := range l {
		flag := &cli.StringSliceFlag{Name: f.name, Category: filterFlags, Usage: f.usage}
		if f.alias != "" {
			flag.Aliases = []string{f.alias}
		}
		flags = append(flags, flag)
	}
	return flags
}

// options are what the command line asks of the live command.
type options struct {
	cfg      live.Config
	format   string // text, json or tcpdump
	stamp    output.Stamp
	quiet    bool
	limit    uint64 // 0 for none
	duration time.Duration
	record   recordOptions
}

// readOptions reads the flags. What only the tracer can judge (names, addresses)
// is left to it.
func readOptions(c *cli.Context) (options, error) {
	o := options{quiet: c.Bool("quiet"), cfg: live.Config{
		All: c.Bool("all"), Stack: c.Bool("stack"), NoWhy: c.Bool("no-why"),
		Arrivals: c.Bool("arrivals"),
	}}
	o.cfg.Filter.Netfilter = c.Bool("netfilter")
	for _, f := range filters(&o.cfg.Filter) {
		*f.values = c.StringSlice(f.name)
		if slices.Contains(*f.values, "") {
			return o, badUsage(fmt.Errorf("--%s has an empty value", f.name), "values are parted by one comma, without spaces")
		}
	}
	var errs [7]error
	o.format, errs[0] = readFormat(c, "text", "json", "tcpdump")
	o.cfg.Probes, errs[1] = oneOf(c, "probes", "auto", "fentry", "kprobe", "tracepoint")
	o.limit, errs[2] = readCount(c)
	o.duration, errs[3] = readDuration(c)
	o.cfg.BufferSize, errs[4] = readSize(c)
	o.record, errs[5] = readRecordOptions(c)
	o.cfg.Snaplen = o.record.snaplen
	o.stamp, errs[6] = readStamp(c, o.format)
	for _, err := range errs {
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// readFormat takes --json as the short form of --output json.
func readFormat(c *cli.Context, formats ...string) (string, error) {
	format, err := oneOf(c, "output", formats...)
	if err != nil {
		return "", err
	}
	if !c.Bool("json") {
		return format, nil
	}
	if c.IsSet("output") && format != "json" {
		return "", badUsage(fmt.Errorf("--json and --output %s exclude each other", format), "give one of them")
	}
	return "json", nil
}

// readStamp is the time of a line as tcpdump gives it, where the line is tcpdump's.
func readStamp(c *cli.Context, format string) (output.Stamp, error) {
	stamp := output.Stamp(c.Count("stamp"))
	switch {
	case stamp > 0 && format != "tcpdump":
		return 0, badUsage(errors.New("-t is for lines as tcpdump has them"), "give --output tcpdump too")
	case stamp > output.StampFirst:
		return 0, badUsage(errors.New("-t is given too often"), "tcpdump knows -t to -ttttt")
	}
	return stamp, nil
}

// oneOf reads a flag that knows few values; the first is the default.
func oneOf(c *cli.Context, flag string, values ...string) (string, error) {
	v := c.String(flag)
	switch {
	case !c.IsSet(flag):
		return values[0], nil
	case slices.Contains(values, v):
		return v, nil
	}
	hint := "want " + either(values)
	if n := near.Names(v, values); len(n) > 0 {
		hint = "did you mean " + either(n) + "?"
	}
	return "", badUsage(fmt.Errorf("--%s %q is not known", flag, v), hint)
}

// readCount reads -c. Nothing is no answer to "end after", so 0 is refused.
func readCount(c *cli.Context) (uint64, error) {
	if !c.IsSet("count") {
		return 0, nil
	}
	n, err := strconv.ParseUint(c.String("count"), 10, 63)
	if err != nil || n == 0 {
		return 0, badUsage(fmt.Errorf("-c %q is no number of drops", c.String("count")), "want 1 or more")
	}
	return n, nil
}

// readDuration reads a Go duration. A bare number is refused: seconds and minutes
// would both make sense.
func readDuration(c *cli.Context) (time.Duration, error) {
	if !c.IsSet("duration") {
		return 0, nil
	}
	v := c.String("duration")
	d, err := time.ParseDuration(v)
	if err == nil && d > 0 {
		return d, nil
	}
	hint := "want a time such as 30s or 5m"
	if n, err := strconv.ParseUint(v, 10, 32); err == nil && n > 0 {
		hint = "did you mean " + v + "s?"
	}
	return 0, badUsage(fmt.Errorf("--duration %q is no time", v), hint)
}

// The sizes that a ring buffer may have: less than a page is none, and more
// than a gigabyte is refused by the kernel.
const (
	minBuffer = 64 << 10
	maxBuffer = 1 << 30
)

// readSize reads a number of bytes with K, M or G. The ring buffer wants a power
// of two, so that the next one is taken.
func readSize(c *cli.Context) (int, error) {
	if !c.IsSet("buffer-size") {
		return 0, nil
	}
	v := c.String("buffer-size")
	number, shift := v, 0
	if v != "" {
		if i := strings.IndexByte("KMG", v[len(v)-1]&^0x20); i >= 0 {
			number, shift = v[:len(v)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if n <<= shift; err != nil || n < minBuffer || n > maxBuffer {
		return 0, badUsage(fmt.Errorf("--buffer-size %q is no size of a buffer", v), "want 64K to 1G, such as 8M")
	}
	size := minBuffer
	for uint64(size) < n {
		size *= 2
	}
	return size, nil
}
