package completion

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/cilium/ebpf/btf"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// patience is how long somebody waits after pressing Tab.
const patience = 2 * time.Second

// open opens the namespace that the line is about, nil where it cannot be entered.
func (l *line) open(ctx context.Context) (*netns.Handle, bool) {
	n, err := netns.Current()
	own := true
	if name := l.given["netns"]; name != "" {
		var list []netns.Namespace
		if list, err = netns.ParseAll(ctx, []string{name}); err == nil {
			own, n = list[0].Inode == n.Inode, list[0]
		}
	}
	if err != nil {
		return nil, false
	}
	h, err := netns.Open(n)
	if err != nil {
		return nil, false
	}
	return h, own
}

func interfaces(ctx context.Context, l *line) []Candidate {
	var list []net.Interface
	if l.given["netns"] == "" {
		list, _ = net.Interfaces() // which needs no privilege
	} else if h, _ := l.open(ctx); h != nil {
		defer h.Close()
		_ = h.Do(func() (err error) {
			list, err = net.Interfaces()
			return err
		})
	}
	var out []Candidate
	for _, i := range list {
		out = append(out, Candidate{Word: i.Name})
	}
	return out
}

// namespaces are those with a name, and by a process of theirs those of containers.
func namespaces(ctx context.Context, _ *line) []Candidate {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	list, _ := netns.List(ctx)
	var out []Candidate
	for _, n := range list {
		switch {
		case n.Name != "":
			out = append(out, Candidate{Word: n.Name})
		case n.PID != 0:
			out = append(out, Candidate{"pid:" + strconv.Itoa(n.PID), n.Command})
		}
	}
	return out
}

func tables(ctx context.Context, l *line) []Candidate {
	return l.rules(ctx, func(t *ruleset.Table) []Candidate {
		return []Candidate{{t.Name, string(t.Engine) + " " + t.Family}}
	})
}

// chains are those of the table where one is given.
func chains(ctx context.Context, l *line) []Candidate {
	return l.rules(ctx, func(t *ruleset.Table) []Candidate {
		if only := l.given["table"]; only != "" && only != t.Name {
			return nil
		}
		var out []Candidate
		for _, c := range t.Chains {
			out = append(out, Candidate{c.Name, string(t.Engine) + " " + t.Family + " " + t.Name})
		}
		return out
	})
}

// rules gathers of each table of the namespace.
func (l *line) rules(ctx context.Context, of func(*ruleset.Table) []Candidate) []Candidate {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	h, own := l.open(ctx)
	if h == nil {
		return nil
	}
	defer h.Close()
	memory := budget.Of(own, nil)
	defer memory.Release()
	found, _ := rules.ReadWithin(ctx, h, memory) // what could be read is there beside an error
	var out []Candidate
	for _, s := range found.List {
		for _, t := range s.Tables {
			out = append(out, of(t)...)
		}
	}
	return out
}

// reasons are the running kernel's.
func reasons(context.Context, *line) []Candidate {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil
	}
	known, err := symbol.LoadReasons(kernel)
	if err != nil {
		return nil
	}
	var out []Candidate
	for _, name := range known.Names() {
		out = append(out, Candidate{Word: name})
	}
	return out
}
