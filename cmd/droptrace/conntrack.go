package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/resolve/live"
)

// conntrackOptions are what the command line asks of droptrace conntrack.
type conntrackOptions struct {
	cfg      live.Config
	format   string // text or json
	quiet    bool
	limit    uint64 // 0 for none
	duration time.Duration
	once     bool
	top      bool
	list     bool // failures one by one, also on a terminal
	interval time.Duration
}

const (
	defaultInterval = time.Second
	minInterval     = 100 * time.Millisecond
	topRows         = 8 // of each list
)

func conntrackCommand(t terminal, open opener) *cli.Command {
	return newCommand("conntrack", "droptrace conntrack [flags]", `Shows which packets failed to get a conntrack entry, and why: the table was
full, two packets raced for one entry, NAT had no port left, and others. On a
terminal it is a running table of each namespace's counters (those of
conntrack -S) with the causes and flows that fail most; else, or with --list,
the failures one by one.

    droptrace conntrack --once        counters, and who fills the tables
    droptrace conntrack --port 53     failures of DNS
    droptrace conntrack --json        failures and samples, for programs

With probes (fentry, kprobe) causes are certain. They stand where something
fails; two of them each new connection passes. With the tracepoint alone causes
come from the counters of the CPU and are probable. conntrack is never loaded by
this, and no event is subscribed to.`, conntrackFlags(),
		func(c *cli.Context) error { return conntrackAction(c, t, open) })
}

// conntrackFilters are the live command's that say something of a failure.
func conntrackFilters(f *live.Filter) filterList {
	return slices.DeleteFunc(filters(f), func(flag filterFlag) bool {
		return slices.Contains([]string{"hook", "table", "chain", "reason", "ctstate"}, flag.name)
	})
}

func conntrackFlags() []cli.Flag {
	flags := conntrackFilters(&live.Filter{}).flags()
	text := func(category, usage, name string, aliases ...string) {
		flags = append(flags, &cli.StringFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	on := func(category, usage, name string, aliases ...string) {
		flags = append(flags, &cli.BoolFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	on(outputFlags, "print counters, sample once more, and end", "once")
	on(outputFlags, "who fills the tables, nearly full or not", "top")
	on(outputFlags, "failures one by one on a terminal, too", "list")
	on(outputFlags, "also clashes that lost nothing", "resolved")
	text(outputFlags, "`TIME` between samples: 1s", "interval")
	text(outputFlags, "`FORMAT` text or json", "output")
	on(outputFlags, "the same as --output json: one object a line", "json")
	text(outputFlags, "`N` end after so many failures", "count", "c")
	text(outputFlags, "`TIME` end after so long: 30s, 5m", "duration")
	on(outputFlags, "no heading, notes or closing summary", "quiet", "q")
	on(outputFlags, "accepted for habit: addresses are always numbers", "numeric", "n")
	text(tracerFlags, "`PLAN` auto, fentry, kprobe or tracepoint", "probes")
	text(tracerFlags, "`SIZE` the buffer in the kernel: 8M", "buffer-size")
	return flags
}

func readConntrackOptions(c *cli.Context) (conntrackOptions, error) {
	o := conntrackOptions{once: c.Bool("once"), top: c.Bool("top"), list: c.Bool("list")}
	o.quiet = c.Bool("quiet")
	o.cfg.Conntrack, o.cfg.Resolved = true, c.Bool("resolved")
	for _, f := range conntrackFilters(&o.cfg.Filter) {
		*f.values = c.StringSlice(f.name)
		if slices.Contains(*f.values, "") {
			return o, badUsage(fmt.Errorf("--%s has an empty value", f.name), "values are parted by one comma, without spaces")
		}
	}
	var errs [6]error
	o.format, errs[0] = readFormat(c, "text", "json")
	o.cfg.Probes, errs[1] = oneOf(c, "probes", "auto", "fentry", "kprobe", "tracepoint")
	o.limit, errs[2] = readCount(c)
	o.duration, errs[3] = readDuration(c)
	o.cfg.BufferSize, errs[4] = readSize(c)
	o.interval, errs[5] = readInterval(c)
	return o, errors.Join(errs[:]...)
}

func readInterval(c *cli.Context) (time.Duration, error) {
	if !c.IsSet("interval") {
		return defaultInterval, nil
	}
	v := c.String("interval")
	d, err := time.ParseDuration(v)
	if n, e := strconv.ParseFloat(v, 64); err != nil && e == nil {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < minInterval {
		return 0, badUsage(fmt.Errorf("--interval %q is no time between samples", v), "want 100ms or more, such as 1s")
	}
	return d, nil
}

func conntrackAction(c *cli.Context, t terminal, open opener) error {
	o, err := readConntrackOptions(c)
	if err != nil {
		return err
	}
	if o.once {
		return conntrackOnce(c.Context, o, t)
	}
	return conntrackLive(c.Context, o, t, open)
}

// conntrackLive opens the source and runs a session on it.
func conntrackLive(ctx context.Context, o conntrackOptions, t terminal, open opener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	notices := newNoticeList(t, o.quiet)
	o.cfg.Notify = notices.add
	src, err := open(ctx, o.cfg)
	notices.print()
	if err != nil {
		if errors.Is(context.Cause(ctx), errSignal) {
			return nil
		}
		return err
	}
	failures, ok := src.(failureSource)
	if !ok {
		src.Close()
		return errors.New("conntrack failures cannot be traced here")
	}
	if o.duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, o.duration, errDuration)
		defer stop()
	}
	s, err := newConntrackSession(ctx, o, t, failures, cancel, notices)
	if err != nil {
		src.Close()
		return err
	}
	return s.run(ctx)
}
