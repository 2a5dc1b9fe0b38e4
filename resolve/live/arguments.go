package live

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/near"
	"github.com/droptrace/droptrace/tracer/filter"
)

// Recorded is the filter for drops that were recorded, on whatever machine.
func (f *Filter) Recorded() (*filter.Filter, error) { return filter.ParseRecorded(f.spec()) }

func (f *Filter) spec() filter.Spec {
	return filter.Spec{
		Port: f.Port, Sport: f.Sport, Dport: f.Dport, Host: f.Host, Src: f.Src, Dst: f.Dst,
		Proto: f.Proto, Iface: f.Iface, In: f.In, Out: f.Out, Hook: f.Hook, Table: f.Table,
		Chain: f.Chain, CTState: f.CTState, Mark: f.Mark, Netfilter: f.Netfilter,
		Netns: f.Netns, Reason: f.Reason,
	}
}

// parseFilter turns flags into a filter; namespaces and reasons have numbers
// that only this machine knows.
func parseFilter(f Filter, namespaces []netns.Namespace, reasons *symbol.Reasons) (*filter.Filter, error) {
	spec := f.spec()
	for _, n := range namespaces {
		spec.NetnsInodes = append(spec.NetnsInodes, n.Inode)
	}
	for _, name := range f.Reason {
		number, err := reasons.Number(name)
		if err != nil {
			return nil, fmt.Errorf("--reason: %w", err)
		}
		spec.ReasonNumbers = append(spec.ReasonNumbers, number)
	}
	return filter.Parse(spec)
}

// wantsInterface goes by the flags' plain names and by the beginning of wildcards.
func (t *Trace) wantsInterface(name string) bool {
	for _, want := range t.interfaces {
		prefix, wildcard := strings.CutSuffix(strings.ReplaceAll(want, "*", "+"), "+")
		if name == want || wildcard && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return len(t.interfaces) == 0
}

// checkInterfaces refuses a name that no interface has, in the namespaces asked
// for or, where none was, in any.
func checkInterfaces(ctx context.Context, names []string, asked []netns.Namespace) error {
	names = slices.DeleteFunc(slices.Clone(names), filter.IsWildcard)
	if len(names) == 0 {
		return nil
	}
	if len(asked) == 0 {
		all, err := netns.List(ctx)
		if err != nil {
			return err
		}
		asked = all
	}
	var known []string
	for _, n := range asked {
		known = append(known, interfaceNames(n)...)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return &ArgumentError{Err: fmt.Errorf("there is no interface %q", name), Near: near.Names(name, known)}
		}
	}
	return nil
}

// interfaceNames is empty for a namespace that cannot be entered.
func interfaceNames(n netns.Namespace) (names []string) {
	h, err := netns.Open(n)
	if err != nil {
		return nil
	}
	defer h.Close()
	h.Do(func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			names = append(names, l.Attrs().Name)
		}
		return err
	})
	return names
}
