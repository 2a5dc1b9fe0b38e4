package doctor

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/audit"
	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// patient is one network namespace, or files of rules, that doctor looks at, twice: counters that
// grow are seen only so.
type patient struct {
	info   drop.Netns
	file   string // where the rules are from; empty for a namespace
	at     netns.Namespace
	handle *netns.Handle // open during a look only: there may be thousands of patients
	cookie uint64
	gone   bool           // at the second look
	memory *budget.Budget // of all
	rules  *rules.Rules   // of the second look, nil where none
	before *audit.Machine
	counts audit.Sample
	first  time.Time
	unseen []string // what could not be looked at
}

// newPatient takes the first look.
func newPatient(ctx context.Context, n netns.Namespace, memory *budget.Budget) *patient {
	p := &patient{at: n, memory: memory, info: drop.Netns{Inode: n.Inode, Name: n.Name}}
	if own, err := netns.Current(); err == nil && own.Inode == n.Inode {
		p.info.Own = true
	} else if n.Name == "" {
		p.info.PID, p.info.Command = n.PID, n.Command
	}
	var err error
	if p.handle, err = netns.Open(n); err != nil {
		p.miss(err)
		return p
	}
	defer p.close()
	p.cookie, _ = p.handle.Cookie() // 0 before Linux 5.14
	p.first = time.Now()
	p.before = p.machine()
	share := budget.Of(p.info.Own, p.memory)
	defer share.Release()
	if rules, err := rules.ReadWithin(ctx, p.handle, share); err == nil { // told by the second look
		p.counts = audit.Count(rules.List)
	}
	return p
}

// newFilePatient reads files of rules, all of one machine.
func newFilePatient(ctx context.Context, names []string) (*patient, error) {
	p := &patient{file: strings.Join(names, ", ")}
	var err error
	p.rules, _, err = console.ReadRules(ctx, names)
	return p, err
}

func (p *patient) close() {
	if p.handle != nil {
		p.handle.Close()
		p.handle = nil
	}
	p.rules = nil
}

// reopen opens the namespace of the first look again. It reports false where that
// could not be entered, or is gone: its inode and its name may be another's by now.
func (p *patient) reopen() bool {
	if p.first.IsZero() {
		return false
	}
	h, err := netns.Open(p.at)
	if err == nil {
		p.handle = h
		var cookie uint64
		if cookie, err = h.Cookie(); err == nil && cookie != p.cookie {
			err = netns.ErrNotFound
		}
	}
	if errors.Is(err, netns.ErrNotFound) {
		p.gone = true
	} else if err != nil {
		p.miss(err)
	}
	return err == nil
}

// miss notes something that could not be looked at.
func (p *patient) miss(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			p.miss(e)
		}
		return
	}
	text := err.Error()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EPERM) {
		text += "; as root it could be: sudo droptrace doctor"
	}
	if !slices.Contains(p.unseen, text) {
		p.unseen = append(p.unseen, text)
	}
}

// machine reads what the namespace says of itself, nil where it cannot be entered.
func (p *patient) machine() *audit.Machine {
	var m *audit.Machine
	err := p.handle.Do(func() error {
		var err error
		m, err = audit.ReadMachine()
		return err
	})
	if err != nil {
		p.miss(err)
	}
	return m
}

// findings takes the second look and compares.
func (p *patient) findings(ctx context.Context) []netnsFinding {
	if p.file == "" && !p.reopen() {
		return nil
	}
	var after *audit.Machine
	between := time.Since(p.first)
	if p.file == "" {
		after = p.machine()
		var err error
		share := budget.Of(p.info.Own, p.memory)
		defer share.Release() // the findings keep none of the rules
		if p.rules, err = rules.ReadWithin(ctx, p.handle, share); err != nil {
			p.miss(err)
		}
	}
	text := func(r *ruleset.Rule) string { return p.rules.Text(ctx, r) }
	list := audit.Look(audit.Subject{
		Rulesets: p.rules.List, Before: p.before, After: after, Between: between, Counters: p.counts, Text: text,
		Way: diagnose.Namespace{Name: p.info.Name, PID: p.info.PID, Own: p.info.Own || p.file != ""},
	})
	out := make([]netnsFinding, len(list))
	for i, f := range list {
		out[i] = netnsFinding{Finding: f, of: p}
		for _, r := range f.Rules {
			out[i].rule = append(out[i].rule, describeRule(r, text(r)))
		}
		out[i].Rules, out[i].Chain = nil, nil // which hold all others
	}
	return out
}

// describeRule is the rule as the records of the live command have it.
func describeRule(r *ruleset.Rule, text string) drop.Rule {
	t := r.Chain.Table
	return drop.Rule{
		Engine: string(t.Engine), Family: t.Family, Table: t.Name, Chain: r.Chain.Name,
		Handle: r.Handle, Number: r.Number, Text: text,
	}
}

func (p *patient) firewall() output.Firewall {
	f := output.Firewall{File: p.file}
	if p.file == "" {
		f.Netns = &p.info
	}
	if p.before != nil {
		f.ConntrackCount, f.ConntrackMax = p.before.Conntrack.Count, p.before.Conntrack.Max
	}
	if p.rules != nil {
		f.Tables, f.Rules = p.rules.Size()
	}
	return f
}

// label stands before what could not be looked at.
func (p *patient) label() string {
	switch {
	case p.info.Own || p.file != "":
		return ""
	case p.info.Name != "":
		return "netns " + p.info.Name + ": "
	case p.info.Command != "":
		return "netns of " + p.info.Command + ": "
	}
	return ""
}
