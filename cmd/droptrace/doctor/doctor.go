// Package doctor is the command that looks at this machine and its firewall before
// anything drops.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/audit"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/budget"
)

// Exit codes of doctor.
const (
	findings    = 3
	notLookedAt = 1 // it has found nothing, and did not see all
)

// doctorOptions are what the command line asks of doctor.
type doctorOptions struct {
	netns    []string
	rules    []string // files
	allNetns bool
	wait     time.Duration
	json     bool
	quiet    bool
}

// Command is the command with its flags.
func Command(t console.Terminal) *cli.Command {
	flags := []cli.Flag{
		&cli.StringSliceFlag{Name: "netns", Usage: "`NETNS` another namespace: a name, a path, pid:N, inode:N"},
		&cli.BoolFlag{Name: "all-netns", Usage: "look at every network namespace"},
		&cli.GenericFlag{Name: "rules", Value: new(console.WholeValues), Usage: "`FILE` rules to look at instead: iptables-save, nft"},
		&cli.StringFlag{Name: "wait", Usage: "`TIME` between the two looks at the counters (0.5s)"},
		&cli.StringFlag{Name: "output", Usage: "`FORMAT` text or json"},
		&cli.BoolFlag{Name: "json", Usage: "the same as --output json"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no closing line"},
		&cli.BoolFlag{Name: "schema", Usage: "print the JSON schema of --json and end"},
	}
	return console.NewCommand("doctor", "what this machine can do, and what is amiss in its firewall", `Says what this kernel, this user and this build can do, then looks at the
firewall for what is amiss before anything drops:

    droptrace doctor                   this network namespace
    droptrace doctor --all-netns       and all others
    droptrace doctor --rules FILE      rules that iptables-save or nft printed

It changes nothing. Without root it says what it could not look at.

Exit codes: 0 nothing amiss, 1 failed, or nothing amiss in what could be looked
at, 2 bad usage, 3 there are findings.`, flags,
		func(c *cli.Context) error { return doctorAction(c, t) })
}

func doctorAction(c *cli.Context, t console.Terminal) error {
	if c.Bool("schema") {
		_, err := io.WriteString(t.Stdout, output.Schema())
		return err
	}
	o, err := readDoctorOptions(c)
	if err != nil {
		return err
	}
	start := time.Now()
	e, err := console.OrInterrupted(c.Context, func() (*output.Examination, error) { return examine(c.Context, o) })
	if err != nil {
		return err
	}
	if o.json {
		err = e.WriteJSON(t.Stdout)
	} else {
		err = e.WriteText(t.Stdout, t.Style(t.Stdout))
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if !o.quiet && !o.json {
		_, _ = io.WriteString(t.Stderr, "\n"+e.Closing(t.Style(t.Stderr), time.Since(start)))
	}
	switch {
	case len(e.Findings) > 0:
		return console.Answered{Code: findings}
	case len(e.NotLookedAt) > 0:
		return console.Answered{Code: notLookedAt}
	}
	return nil
}

func readDoctorOptions(c *cli.Context) (o doctorOptions, err error) {
	o = doctorOptions{
		netns: c.StringSlice("netns"), rules: console.Whole(c, "rules"), allNetns: c.Bool("all-netns"), quiet: c.Bool("quiet"),
		wait: 500 * time.Millisecond,
	}
	format, err := console.ReadFormat(c, "text", "json")
	if err != nil {
		return o, err
	}
	o.json = format == "json"
	if c.IsSet("wait") {
		if o.wait, err = readWait(c.String("wait")); err != nil {
			return o, err
		}
	}
	if len(o.rules) > 0 && (o.allNetns || len(o.netns) > 0) {
		return o, console.BadUsage(errors.New("--rules and network namespaces exclude each other"), "give one of them")
	}
	if o.allNetns && len(o.netns) > 0 {
		return o, console.BadUsage(errors.New("--netns and --all-netns exclude each other"), "give one of them")
	}
	return o, nil
}

// readWait takes 0: no second look then.
func readWait(v string) (time.Duration, error) {
	if v == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, console.BadUsage(fmt.Errorf("--wait %q is no time", v), "want a time such as 500ms or 5s")
	}
	return d, nil
}

// examine looks at everything that was asked for.
func examine(ctx context.Context, o doctorOptions) (*output.Examination, error) {
	e := &output.Examination{Time: time.Now()}
	var subjects []*subject
	if len(o.rules) > 0 {
		p, err := newFileSubject(ctx, o.rules)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, p)
	} else if err := examineMachine(ctx, o, e, &subjects); err != nil {
		return nil, err
	}
	lists, firewalls := make([][]netnsFinding, len(subjects)), make([]output.Firewall, len(subjects))
	someAtOnce(len(subjects), func(i int) {
		lists[i] = subjects[i].findings(ctx)
		firewalls[i] = subjects[i].firewall()
		subjects[i].close()
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	findings := slices.Concat(lists...)
	for i, p := range subjects {
		if p.gone {
			continue
		}
		e.Firewalls = append(e.Firewalls, firewalls[i])
		for _, s := range p.unseen {
			e.NotLookedAt = append(e.NotLookedAt, p.label()+s)
		}
	}
	e.Findings = sortFindings(findings)
	return e, nil
}

// examineMachine takes the first look at the namespaces, and finds out what this
// machine can do while their counters have time to grow.
func examineMachine(ctx context.Context, o doctorOptions, e *output.Examination, subjects *[]*subject) error {
	spaces, err := doctorNamespaces(ctx, o)
	if err != nil {
		return err
	}
	memory := budget.New(budget.All, nil)
	*subjects = make([]*subject, len(spaces))
	someAtOnce(len(spaces), func(i int) { (*subjects)[i] = newSubject(ctx, spaces[i], memory) })
	looked := time.Now()
	if e.System, err = systemFacts(); err != nil {
		return err
	}
	e.Capabilities = capabilities(ctx)
	return pause(ctx, o.wait-time.Since(looked))
}

// atOnce is how many namespaces are looked at at the same time.
const atOnce = 4

// someAtOnce calls do with 0 to n-1.
func someAtOnce(n int, do func(i int)) {
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	running.Wait()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait between two looks: %w", context.Cause(ctx))
	case <-time.After(d):
		return nil
	}
}

// doctorNamespaces are those to look at: our own where none was asked for.
func doctorNamespaces(ctx context.Context, o doctorOptions) ([]netns.Namespace, error) {
	if o.allNetns {
		l, err := netns.Look(ctx)
		return l.Namespaces, err
	}
	if len(o.netns) > 0 {
		list, err := console.ParseNamespaces(ctx, o.netns)
		if err != nil {
			return nil, console.BadUsage(err)
		}
		return list, nil
	}
	own, err := netns.Current()
	return []netns.Namespace{own}, err
}

// netnsFinding is a finding with the namespace that it is of.
type netnsFinding struct {
	audit.Finding
	of   *subject
	rule []drop.Rule
}

// sortFindings puts what hurts most first, over all namespaces.
func sortFindings(list []netnsFinding) []output.Finding {
	bare := make([]audit.Finding, len(list))
	for i := range list {
		bare[i] = list[i].Finding
	}
	order := audit.Order(bare)
	out := make([]output.Finding, 0, len(list))
	for _, i := range order {
		f := &list[i]
		found := output.Finding{
			Code: string(f.Code), Severity: f.Severity.String(), Message: f.Message, Fix: f.Fix,
			File: f.of.file, Rules: f.rule, More: f.More,
		}
		if f.of.file == "" {
			found.Netns = &f.of.info
		}
		out = append(out, found)
	}
	return out
}
