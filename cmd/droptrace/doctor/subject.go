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

// subject is one network namespace, or files of rules, that doctor looks at, twice: counters that
// grow are seen only so.
type subject struct {
	info   drop.Netns
	file   string // where the rules are from; empty for a namespace
	at     netns.Namespace
	handle *netns.Handle // open during a look only: there may be thousands of subjects
	cookie uint64
	gone   bool           // at the second look
	memory *budget.Budget // of all
	rules  *rules.Rules   // of the second look, nil where none
	before *audit.Machine
	counts audit.Sample
	first  time.Time
	unseen []string // what could not be looked at
}

// newSubject takes the first look.
func newSubject(ctx context.Context, n netns.Namespace, memory *budget.Budget) *subject {
	s := &subject{at: n, memory: memory, info: drop.Netns{Inode: n.Inode, Name: n.Name}}
	if own, err := netns.Current(); err == nil && own.Inode == n.Inode {
		s.info.Own = true
	} else if n.Name == "" {
		s.info.PID, s.info.Command = n.PID, n.Command
	}
	var err error
	if s.handle, err = netns.Open(n); err != nil {
		s.miss(err)
		return s
	}
	defer s.close()
	s.cookie, _ = s.handle.Cookie() // 0 before Linux 5.14
	s.first = time.Now()
	s.before = s.machine()
	share := budget.Of(s.info.Own, s.memory)
	defer share.Release()
	if rules, err := rules.ReadWithin(ctx, s.handle, share); err == nil { // told by the second look
		s.counts = audit.Count(rules.List)
	}
	return s
}

// newFileSubject reads files of rules, all of one machine.
func newFileSubject(ctx context.Context, names []string) (*subject, error) {
	s := &subject{file: strings.Join(names, ", ")}
	var err error
	s.rules, _, err = console.ReadRules(ctx, names)
	return s, err
}

func (s *subject) close() {
	if s.handle != nil {
		s.handle.Close()
		s.handle = nil
	}
	s.rules = nil
}

// reopen opens the namespace of the first look again. It reports false where that
// could not be entered, or is gone: its inode and its name may be another's by now.
func (s *subject) reopen() bool {
	if s.first.IsZero() {
		return false
	}
	h, err := netns.Open(s.at)
	if err == nil {
		s.handle = h
		var cookie uint64
		if cookie, err = h.Cookie(); err == nil && cookie != s.cookie {
			err = netns.ErrNotFound
		}
	}
	if errors.Is(err, netns.ErrNotFound) {
		s.gone = true
	} else if err != nil {
		s.miss(err)
	}
	return err == nil
}

// miss notes something that could not be looked at.
func (s *subject) miss(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			s.miss(e)
		}
		return
	}
	text := err.Error()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EPERM) {
		text += "; as root it could be: sudo droptrace doctor"
	}
	if !slices.Contains(s.unseen, text) {
		s.unseen = append(s.unseen, text)
	}
}

// machine reads what the namespace says of itself, nil where it cannot be entered.
func (s *subject) machine() *audit.Machine {
	var m *audit.Machine
	err := s.handle.Do(func() error {
		var err error
		m, err = audit.ReadMachine()
		return err
	})
	if err != nil {
		s.miss(err)
	}
	return m
}

// findings takes the second look and compares.
func (s *subject) findings(ctx context.Context) []netnsFinding {
	if s.file == "" && !s.reopen() {
		return nil
	}
	var after *audit.Machine
	between := time.Since(s.first)
	if s.file == "" {
		after = s.machine()
		var err error
		share := budget.Of(s.info.Own, s.memory)
		defer share.Release() // the findings keep none of the rules
		if s.rules, err = rules.ReadWithin(ctx, s.handle, share); err != nil {
			s.miss(err)
		}
	}
	text := func(r *ruleset.Rule) string { return s.rules.Text(ctx, r) }
	list := audit.Look(audit.Subject{
		Rulesets: s.rules.List, Before: s.before, After: after, Between: between, Counters: s.counts, Text: text,
		Way: diagnose.Namespace{Name: s.info.Name, PID: s.info.PID, Own: s.info.Own || s.file != ""},
	})
	out := make([]netnsFinding, len(list))
	for i, f := range list {
		out[i] = netnsFinding{Finding: f, of: s}
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

func (s *subject) firewall() output.Firewall {
	f := output.Firewall{File: s.file}
	if s.file == "" {
		f.Netns = &s.info
	}
	if s.before != nil {
		f.ConntrackCount, f.ConntrackMax = s.before.Conntrack.Count, s.before.Conntrack.Max
	}
	if s.rules != nil {
		f.Tables, f.Rules = s.rules.Size()
	}
	return f
}

// label stands before what could not be looked at.
func (s *subject) label() string {
	switch {
	case s.info.Own || s.file != "":
		return ""
	case s.info.Name != "":
		return "netns " + s.info.Name + ": "
	case s.info.Command != "":
		return "netns of " + s.info.Command + ": "
	}
	return ""
}
