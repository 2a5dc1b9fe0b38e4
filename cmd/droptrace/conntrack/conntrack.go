// Package conntrack is the command that shows which flows got no conntrack entry.
package conntrack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/source"
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

// Command is the command with its flags.
func Command(t console.Terminal, open source.Opener) *cli.Command {
	return console.NewCommand("conntrack", "which flows got no conntrack entry, and why", `Shows which packets failed to get a conntrack entry, and why: the table was
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
func conntrackFilters(f *live.Filter) console.FilterList {
	return slices.DeleteFunc(console.Filters(f), func(flag console.FilterFlag) bool {
		return slices.Contains([]string{"hook", "table", "chain", "reason", "ctstate"}, flag.Name)
	})
}

func conntrackFlags() []cli.Flag {
	flags := conntrackFilters(&live.Filter{}).Flags()
	text := func(category, usage, name string, aliases ...string) {
		flags = append(flags, &cli.StringFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	on := func(category, usage, name string, aliases ...string) {
		flags = append(flags, &cli.BoolFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	on(console.OutputFlags, "print counters, sample once more, and end", "once")
	on(console.OutputFlags, "who fills the tables, nearly full or not", "top")
	on(console.OutputFlags, "failures one by one on a terminal, too", "list")
	on(console.OutputFlags, "also clashes that lost nothing", "resolved")
	text(console.OutputFlags, "`TIME` between samples: 1s", "interval")
	text(console.OutputFlags, "`FORMAT` text or json", "output")
	on(console.OutputFlags, "the same as --output json: one object a line", "json")
	text(console.OutputFlags, "`N` end after so many failures", "count", "c")
	text(console.OutputFlags, "`TIME` end after so long: 30s, 5m", "duration")
	on(console.OutputFlags, "no heading, notes or closing summary", "quiet", "q")
	on(console.OutputFlags, "accepted for habit: addresses are always numbers", "numeric", "n")
	text(console.TracerFlags, "`PLAN` auto, fentry, kprobe or tracepoint", "probes")
	text(console.TracerFlags, "`SIZE` the buffer in the kernel: 8M", "buffer-size")
	return flags
}

func readConntrackOptions(c *cli.Context) (conntrackOptions, error) {
	o := conntrackOptions{once: c.Bool("once"), top: c.Bool("top"), list: c.Bool("list")}
	o.quiet = c.Bool("quiet")
	o.cfg.Conntrack, o.cfg.Resolved = true, c.Bool("resolved")
	for _, f := range conntrackFilters(&o.cfg.Filter) {
		*f.Values = c.StringSlice(f.Name)
		if slices.Contains(*f.Values, "") {
			return o, console.BadUsage(fmt.Errorf("--%s has an empty value", f.Name), "values are parted by one comma, without spaces")
		}
	}
	var errs [6]error
	o.format, errs[0] = console.ReadFormat(c, "text", "json")
	o.cfg.Probes, errs[1] = console.OneOf(c, "probes", "auto", "fentry", "kprobe", "tracepoint")
	o.limit, errs[2] = console.ReadCount(c)
	o.duration, errs[3] = console.ReadDuration(c)
	o.cfg.BufferSize, errs[4] = console.ReadSize(c)
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
		return 0, console.BadUsage(fmt.Errorf("--interval %q is no time between samples", v), "want 100ms or more, such as 1s")
	}
	return d, nil
}

func conntrackAction(c *cli.Context, t console.Terminal, open source.Opener) error {
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
func conntrackLive(ctx context.Context, o conntrackOptions, t console.Terminal, open source.Opener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	notices := newNoticeList(t, o.quiet)
	o.cfg.Notify = notices.add
	src, err := open(ctx, o.cfg)
	notices.print()
	if err != nil {
		if errors.Is(context.Cause(ctx), console.ErrSignal) {
			return nil
		}
		return err
	}
	failures, ok := src.(source.Failures)
	if !ok {
		src.Close()
		return errors.New("conntrack failures cannot be traced here")
	}
	if o.duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, o.duration, console.ErrDuration)
		defer stop()
	}
	s, err := newConntrackSession(ctx, o, t, failures, cancel, notices)
	if err != nil {
		src.Close()
		return err
	}
	return s.run(ctx)
}
