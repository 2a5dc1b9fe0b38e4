// Adversary floods a namespace of its own with packets that rules drop, from
// several threads which are moved between CPUs all the time, real-time ones among
// them, and holds the rule of every record against the packet's port. A rule that is
// certain and of another port is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	n         uint64
	droptrace string
	probes    string
	engines   []string
	threads   int
	fifo      bool
	migrate   bool
	timeout   time.Duration
}

func main() {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "adversary:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var engines string
	fs := flag.NewFlagSet("adversary", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Uint64Var(&o.n, "n", 100_000, "compare so many `records`, of all engines together")
	fs.StringVar(&o.droptrace, "droptrace", "droptrace", "`program` under test")
	fs.StringVar(&o.probes, "probes", "auto", "its --probes")
	fs.StringVar(&engines, "engine", strings.Join(engineNames(), ","), "`engines` to flood")
	fs.IntVar(&o.threads, "threads", 4, "`number` of senders on each path")
	fs.BoolVar(&o.fifo, "fifo", true, "real-time senders (SCHED_FIFO) on each CPU, too")
	fs.BoolVar(&o.migrate, "migrate", true, "move the senders between CPUs all the time")
	fs.DurationVar(&o.timeout, "timeout", 20*time.Minute, "fail after this `time`")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.engines = strings.Split(engines, ",")
	for _, e := range o.engines {
		if !slices.Contains(engineNames(), e) {
			err := fmt.Errorf("no engine %q: choose from %v", e, engineNames())
			fmt.Fprintln(stderr, "adversary:", err)
			return o, err
		}
	}
	return o, nil
}

var errWrong = errors.New("answers that were certain were wrong")

func run(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not done after %v", o.timeout))
	defer cancel()
	loadModules()
	l, err := newLab(ctx)
	defer l.close()
	if err != nil {
		return err
	}
	t, err := startTracer(ctx, o, l.receiver)
	if err != nil {
		return err
	}
	defer t.stop()
	j := &judge{out: os.Stdout}
	for i, engine := range o.engines {
		want := o.n / uint64(len(o.engines)) * uint64(i+1)
		if i == len(o.engines)-1 {
			want = o.n
		}
		if err := flood(ctx, o, l, t, j, engine, want); err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
	}
	said := t.stop()
	j.print(o.probes)
	// A fault that droptrace found by itself is one all the same.
	if i := strings.Index(said, "a fault of droptrace"); i >= 0 {
		line, _, _ := strings.Cut(said[i:], "\n")
		return errors.New("droptrace says: " + line)
	}
	if j.wrong > 0 {
		return fmt.Errorf("%d %w", j.wrong, errWrong)
	}
	return nil
}

// progressEvery is how often a slow run says how far it is.
const progressEvery = 10 * time.Second

// flood compares records of one engine's rules until want have been compared in all.
func flood(ctx context.Context, o options, l *lab, t *tracer, j *judge, engine string, want uint64) error {
	if err := l.load(ctx, engine); err != nil {
		return err
	}
	if err := t.warm(ctx, l); err != nil {
		return fmt.Errorf("wait for the first rule: %w", err)
	}
	s := startSenders(o, l)
	defer s.stop()
	next := time.Now().Add(progressEvery)
	for j.compared < want {
		if time.Now().After(next) {
			fmt.Fprintf(os.Stderr, "adversary: %s, %d of %d records\n", engine, j.compared, o.n)
			next = time.Now().Add(progressEvery)
		}
		r, err := t.next(ctx)
		if err != nil {
			return err
		}
		j.judge(engine, r)
	}
	s.stop()
	if err := t.drain(ctx, l, func(r *record) { j.judge(engine, r) }); err != nil {
		return err
	}
	return l.unload(ctx, engine)
}

// loadModules comes before droptrace, which attaches to functions that are there.
// What a kernel lacks is told by the rules.
func loadModules() {
	for _, m := range strings.Fields("veth nf_tables nft_ct nft_counter nft_compat nft_reject nft_reject_inet nft_reject_ipv4 " +
		"nf_conntrack x_tables ip_tables iptable_filter xt_tcpudp ipt_REJECT") {
		_ = exec.Command("modprobe", "-q", m).Run()
	}
}
