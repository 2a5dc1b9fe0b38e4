package scratch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
)

// ErrExtension is returned for rules with an extension of x_tables that does more
// than match packets: it would change the machine when it is copied.
var ErrExtension = errors.New("the rules use an extension that is not copied")

// Source is a namespace whose rules are copied.
type Source interface {
	// Do runs fn on a thread that is inside the namespace.
	Do(fn func() error) error
}

// Copy gives the namespace the tables that rules, which were read from the source,
// have, the ipsets they ask for, and interfaces in place of those they name. Nothing
// becomes text on the way: names and comments are written by whoever is root in the
// source, and iptables-restore, ipset and nft have languages in which a name with a
// line break is a command. The kernel's own messages go back to the kernel.
//
// Interfaces keep their indexes. The error is [ErrChanging] where the source changed
// again and again meanwhile, ErrLimit of package budget where the context's does not
// suffice.
func (n *Namespace) Copy(ctx context.Context, from Source, rules []*ruleset.Ruleset) error {
	if err := n.copyDevices(from, rules); err != nil {
		return err
	}
	o, err := readOriginal(ctx, from, rules)
	if err != nil {
		return err
	}
	if err := allowedExtensions(o.extensions); err != nil {
		return err
	}
	// Where no rule asks for one ipset is left alone: asking would load its module.
	if slices.Contains(o.extensions, "set") || slices.Contains(o.extensions, "SET") {
		if err := n.copyIPSets(ctx, from); err != nil {
			return fmt.Errorf("copy ipsets: %w", err)
		}
	}
	for _, b := range o.legacy {
		if err := xtables.Replace(n, b); err != nil {
			return err
		}
	}
	if o.nft == nil {
		return nil
	}
	for _, name := range o.nft.devices {
		if err := n.addDevice(name); err != nil {
			return err
		}
	}
	if err := o.nft.load(ctx, n); err != nil {
		return fmt.Errorf("copy nftables: %w", err)
	}
	if n.handles, err = o.nft.readHandles(ctx, n); err != nil {
		return fmt.Errorf("copy nftables: %w", err)
	}
	return nil
}

// original is what a copy is made of, as the kernel has it.
type original struct {
	legacy     []*xtables.Blob
	nft        *nftRules // nil for none
	extensions []string  // of x_tables, that the rules use
}

// readOriginal reads the tables that rules have.
func readOriginal(ctx context.Context, from Source, rules []*ruleset.Ruleset) (*original, error) {
	o := &original{}
	var native []*ruleset.Table
	for _, rs := range rules {
		for _, t := range rs.Tables {
			switch {
			case t.Engine == ruleset.IPTablesLegacy:
				b, err := xtables.Read(from, xtables.TableID{Family: t.Family, Name: t.Name})
				if err != nil {
					return nil, err
				}
				o.legacy, o.extensions = append(o.legacy, b), append(o.extensions, b.Extensions()...)
			case t.Engine == ruleset.NFTables || t.Family == "ip" || t.Family == "ip6":
				native = append(native, t) // iptables' arp and bridge are not what is asked about
			}
		}
	}
	if len(native) == 0 {
		return o, nil
	}
	var err error
	if o.nft, err = readUnchanged(ctx, from, native); err != nil {
		return nil, fmt.Errorf("read nftables: %w", err)
	}
	o.extensions = append(o.extensions, o.nft.extensions...)
	return o, nil
}

// ErrChanging is returned for rules that change each time they are copied.
var ErrChanging = nftables.ErrChanging

// allowedExtensions refuses those that reach outside of the namespace: LED and
// IDLETIMER make files in sysfs for all of them, bpf opens a path or a descriptor of
// the process that loads it.
func allowedExtensions(names []string) error {
	for _, name := range names {
		switch name {
		case "LED", "IDLETIMER", "bpf":
			return fmt.Errorf("%w: %s", ErrExtension, name)
		}
	}
	return nil
}

// anyStatement asks for each statement of all rules until one is found.
func anyStatement(list []*ruleset.Ruleset, found func(ruleset.Statement) bool) bool {
	var within func(ruleset.Statement) bool
	within = func(s ruleset.Statement) bool {
		if any, ok := s.(*ruleset.Any); ok {
			for _, list := range any.Of {
				if slices.ContainsFunc(list, within) {
					return true
				}
			}
		}
		return found(s)
	}
	for _, rs := range list {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					if slices.ContainsFunc(r.Statements, within) {
						return true
					}
				}
			}
		}
	}
	return false
}

// copyDevices notes the source's interfaces, and makes those that the rules compare
// by index or are hooked to.
func (n *Namespace) copyDevices(from Source, rules []*ruleset.Ruleset) error {
	names := make(map[uint32]string)
	n.indexes = make(map[string]int)
	err := from.Do(func() error {
		list, err := net.Interfaces()
		for _, i := range list {
			n.indexes[i.Name], names[uint32(i.Index)] = i.Index, i.Name
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, rs := range rules {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, name := range c.Devices {
					if err := n.addDevice(name); err != nil {
						return err
					}
				}
			}
		}
	}
	anyStatement(rules, func(s ruleset.Statement) bool {
		for _, index := range indexesIn(s) {
			if name := names[index]; name != "" && name != "lo" {
				err = n.addDevice(name)
			}
		}
		return err != nil
	})
	return err
}

// indexesIn are the interface indexes that a statement compares with.
func indexesIn(s ruleset.Statement) (indexes []uint32) {
	var fields []ruleset.Field
	var ranges []ruleset.Range
	var set *ruleset.Set
	switch s := s.(type) {
	case *ruleset.Match:
		fields, ranges, set = s.Fields, s.Ranges, s.Set
	case *ruleset.VerdictMap:
		fields, set = s.Fields, s.Set
	}
	if set != nil {
		for _, e := range set.Elements {
			ranges = append(ranges, e.Range)
		}
	}
	for _, r := range ranges {
		at := 0
		for _, f := range fields {
			if (f == ruleset.InIndex || f == ruleset.OutIndex) && len(r.From) >= at+f.Size() {
				indexes = append(indexes, binary.BigEndian.Uint32(r.From[at:]))
			}
			at += f.Size()
		}
	}
	return indexes
}

// dialNetfilter opens a netlink socket to netfilter inside a namespace.
func dialNetfilter(ctx context.Context, ns Source) (c *netlink.Conn, stop func(), err error) {
	err = ns.Do(func() error {
		c, err = netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: 64 << 10})
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open netlink netfilter: %w", err)
	}
	// A deadline in the past ends a receive that is under way.
	end := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	return c, func() { end(); c.Close() }, nil
}

// listed is what a listing takes by its size: itself, and the attributes of it that
// are kept.
const listed = 2

// dump returns the messages of a listing, which are taken of the context's budget.
func dump(ctx context.Context, c *netlink.Conn, request netlink.Message) (list []netlink.Message, err error) {
	if _, err := c.Send(request); err != nil {
		return nil, err
	}
	memory := budget.From(ctx)
	for m, err := range c.ReceiveIter() {
		if err == nil {
			err = memory.Take(listed * len(m.Data))
		}
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// header is struct nfgenmsg: family, version, resource.
func header(family uint8, resource uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource)
}

const headerSize = 4
