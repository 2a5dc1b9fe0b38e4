package machine

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/diagnose"
)

var _ diagnose.PolicyRouter = (*Machine)(nil)

// errNotTold says that which rule decides cannot be told from here.
var errNotTold = errors.New("cannot tell")

// Policy implements diagnose.PolicyRouter. Rules are asked as fib_rules_lookup does
// (net/core/fib_rules.c), each table for its longest prefix. Nothing is told where a
// rule asks for what a packet does not show: a user, a VRF, a tunnel.
func (m *Machine) Policy(q *diagnose.RouteQuery) (p diagnose.Policy, ok bool) {
	err := m.ns.Do(func() (err error) {
		p, err = decide(q)
		return err
	})
	return p, err == nil
}

func decide(q *diagnose.RouteQuery) (p diagnose.Policy, err error) {
	family := netlink.FAMILY_V4
	if q.To.Is6() {
		family = netlink.FAMILY_V6
	}
	rules, err := netlink.RuleList(family)
	if err != nil {
		return p, err
	}
	if err := addActions(family, rules); err != nil {
		return p, err
	}
	if p.Special = slices.ContainsFunc(rules, special); !p.Special {
		return p, nil
	}
	slices.SortStableFunc(rules, func(a, b netlink.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	jump := -1
	for i := range rules {
		r := &rules[i]
		if r.Priority < jump {
			continue
		}
		held, err := isFor(r, q)
		if err != nil {
			return p, err
		}
		if !held {
			continue
		}
		if r.Goto > 0 {
			jump = r.Goto
			continue
		}
		refuses := r.Type == nl.FR_ACT_BLACKHOLE || r.Type == nl.FR_ACT_UNREACHABLE || r.Type == nl.FR_ACT_PROHIBIT
		if r.Table == unix.RT_TABLE_UNSPEC && !refuses {
			continue // l3mdev, which looks into the table of a VRF: there is none
		}
		step := diagnose.PolicyRule{Priority: r.Priority, Text: ruleText(r), Table: tableName(r.Table)}
		p.Asked = append(p.Asked, step)
		if refuses {
			p.Refuses = true
			return p, nil
		}
		found, err := longest(family, r.Table, q.To)
		switch {
		case err != nil:
			return p, err
		case found == nil, found.Type == unix.RTN_THROW:
			continue
		case r.SuppressPrefixlen >= 0 && prefixLength(found) <= r.SuppressPrefixlen:
			continue
		}
		p.Found = true
		if l, err := netlink.LinkByIndex(found.LinkIndex); err == nil && found.LinkIndex != 0 {
			p.Device = l.Attrs().Name
		}
		p.Type = typeName(found.Type)
		return p, nil
	}
	return p, nil
}

// addActions fills in the rules' Type, which netlink.RuleList leaves out: the kernel
// lists them in the same order again.
func addActions(family int, rules []netlink.Rule) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(family))
	messages, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return fmt.Errorf("list rules of policy routing: %w", err)
	}
	if len(messages) != len(rules) {
		return errNotTold // they were changed in between
	}
	for i, m := range messages {
		rules[i].Type = nl.DeserializeRtMsg(m).Type
	}
	return nil
}

// isFor reports whether a rule is for the packet (fib_rule_match).
func isFor(r *netlink.Rule, q *diagnose.RouteQuery) (bool, error) {
	if r.UIDRange != nil || r.TunID != 0 || r.Tos != 0 || r.SuppressIfgroup >= 0 || r.OifName != "" && (q.In == "" || q.In == "lo") {
		return false, errNotTold
	}
	if r.Table == unix.RT_TABLE_UNSPEC && r.Goto <= 0 && vrfs() {
		return false, errNotTold
	}
	mask := uint32(0xffffffff)
	if r.Mask != nil {
		mask = *r.Mask
	} else if r.Mark == 0 {
		mask = 0
	}
	held := (q.Mark^r.Mark)&mask == 0 && within(r.Src, q.From) && within(r.Dst, q.To) &&
		(r.IifName == "" || r.IifName == q.In) && r.OifName == "" &&
		(r.IPProto == 0 || r.IPProto == int(q.Protocol)) && inPorts(r.Sport, q.SourcePort) && inPorts(r.Dport, q.DestinationPort)
	return held != r.Invert, nil
}

func vrfs() bool {
	links, err := netlink.LinkList()
	return err != nil || slices.ContainsFunc(links, func(l netlink.Link) bool { return l.Type() == "vrf" })
}

func within(n *net.IPNet, a netip.Addr) bool {
	return n == nil || a.IsValid() && n.Contains(a.AsSlice())
}

func inPorts(r *netlink.RulePortRange, port uint16) bool {
	return r == nil || r.Start <= port && port <= r.End
}

// longest is the route of a table that an address takes; nil for none.
func longest(family, table int, to netip.Addr) (best *netlink.Route, err error) {
	err = netlink.RouteListFilteredIter(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		const dead = unix.RTNH_F_DEAD
		if r.Tos != 0 || r.Flags&dead != 0 || r.Dst != nil && !r.Dst.Contains(to.AsSlice()) {
			return true
		}
		if best == nil || prefixLength(&r) > prefixLength(best) || prefixLength(&r) == prefixLength(best) && r.Priority < best.Priority {
			best = &r
		}
		return true
	})
	return best, err
}

func prefixLength(r *netlink.Route) int {
	if r.Dst == nil {
		return 0
	}
	bits, _ := r.Dst.Mask.Size()
	return bits
}

// ruleText is a rule as `ip rule` writes it, without its number and table.
func ruleText(r *netlink.Rule) string {
	var b strings.Builder
	if r.Invert {
		b.WriteString("not ")
	}
	b.WriteString("from ")
	if r.Src == nil {
		b.WriteString("all")
	} else {
		b.WriteString(networkText(r.Src))
	}
	if r.Dst != nil {
		b.WriteString(" to " + networkText(r.Dst))
	}
	if r.Mark != 0 || r.Mask != nil {
		fmt.Fprintf(&b, " fwmark %#x", r.Mark)
		if r.Mask != nil && *r.Mask != 0xffffffff {
			fmt.Fprintf(&b, "/%#x", *r.Mask)
		}
	}
	if r.IifName != "" {
		b.WriteString(" iif " + r.IifName)
	}
	if r.OifName != "" {
		b.WriteString(" oif " + r.OifName)
	}
	if r.IPProto != 0 {
		fmt.Fprintf(&b, " ipproto %d", r.IPProto)
	}
	b.WriteString(portsText(" sport ", r.Sport) + portsText(" dport ", r.Dport))
	return b.String()
}

func portsText(name string, r *netlink.RulePortRange) string {
	switch {
	case r == nil:
		return ""
	case r.Start == r.End:
		return name + strconv.Itoa(int(r.Start))
	}
	return fmt.Sprintf("%s%d-%d", name, r.Start, r.End)
}

func networkText(n *net.IPNet) string {
	if bits, size := n.Mask.Size(); bits == size {
		return n.IP.String()
	}
	return n.String()
}

// tableName names the tables that every machine has; names of others are a matter of
// files.
func tableName(table int) string {
	switch table {
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return strconv.Itoa(table)
}

// typeName is the type of a route that leads nowhere, "" for others.
func typeName(kind int) string {
	switch kind {
	case unix.RTN_UNREACHABLE:
		return "unreachable"
	case unix.RTN_PROHIBIT:
		return "prohibit"
	case unix.RTN_BLACKHOLE:
		return "blackhole"
	}
	return ""
}
