// Package diagnose says why a packet was dropped and what would let it through.
//
// Each cause has a condition that is proven before it is told: by replaying the
// packet against the ruleset, by replaying it against the ruleset with the fix
// made, or by a fact of the machine. Where nothing is proven nothing is said: a
// wrong hint costs more than none. Nothing is ever changed; a fix is a command to
// read.
package diagnose

import (
	"net/netip"
	"slices"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Case is a drop with all that is known around it. Zero fields are not known.
type Case struct {
	Packet replay.Packet // as it was at the drop
	Hook   replay.Hook   // zero where netfilter had no part in it

	Verdict string // drop, reject, queue_failed, stolen
	Cause   string // rule, policy, hook, kernel
	// Place is the rule or policy that dropped it. Its pointers are those of
	// Rulesets. Not set (Base is nil) where it is not certain.
	Place replay.Place

	Reason   string // the kernel's drop reason
	Symbol   string // the function that freed it
	Function string // with cause hook: the hook's function
	// Overflow says that the packet found its accept queue full.
	Overflow bool
	// Deferred says that the packet was a bare ACK which TCP_DEFER_ACCEPT has no
	// use for.
	Deferred bool

	Conntrack *drop.Conntrack

	// Rulesets is everything that is evaluated in the namespace, of all engines.
	Rulesets []*ruleset.Ruleset
	// Firewall is Rulesets compiled; nil where nobody keeps that.
	Firewall *replay.Firewall
	// Text returns a rule as its own tool prints it, "" where that is not known.
	// May be nil.
	Text func(*ruleset.Rule) string
	// Lookup asks conntrack's table; nil where it is not to be asked.
	Lookup Lookup
	Each   Each // all of it; nil as well

	Machine     Machine // nil where nothing is known
	Environment replay.Environment
	Namespace   Namespace
}

// Namespace says how a command gets into the network namespace.
type Namespace struct {
	Name string // as ip netns knows it
	PID  int    // a process in it, where it has no name
	Own  bool   // nothing to enter
}

// Machine answers for the namespace that the packet died in. ok is false where an
// answer is not known.
type Machine interface {
	// Sysctl reads by path below /proc/sys: net/ipv4/ip_forward.
	Sysctl(path string) (value string, ok bool)
	// Listeners are the sockets bound to a port of tcp or udp.
	Listeners(protocol string, port uint16) (list []Listener, ok bool)
	// Local reports whether the address is the namespace's own.
	Local(a netip.Addr) (local, ok bool)
	// RouteTo is the way that packets to an address go.
	RouteTo(to netip.Addr) (r Route, ok bool)
	// Interface tells of an interface by its name.
	Interface(name string) (i Interface, ok bool)
	// Queues counts the NFQUEUEs that a program listens to.
	Queues() (number int, ok bool)
	// Program reports whether a program is installed.
	Program(name string) bool
}

// Route is the way to an address. With neither Device nor Refused there is none.
type Route struct {
	Device  string
	Gateway netip.Addr // not valid where the address is on the link
	Refused string     // the type of a route that leads nowhere: unreachable, prohibit, blackhole
	MTU     int        // bytes; 0 where nothing but the interface's is known
}

// Interface is the state of an interface. Without Carrier its other end is gone.
type Interface struct {
	Bridge, Up, Carrier bool
	MTU                 int // bytes
	// Hardware is its link-layer address; nil for none.
	Hardware []byte
	// Kind is as ip link has it: veth, bridge, vlan; "" for hardware.
	Kind string
	// Below are what it stands on: ports of a bridge, bond or team, the parent of a
	// VLAN and its like, the other end of a veth.
	Below []Lower
	VRF   string // that it is a port of, "" for none
	VNI   int    // of a vxlan or geneve, 0 where there is none
	// FlowBased is a vxlan that routes or programs give the target for each packet
	// (ip link, external).
	FlowBased bool
}

// Lower is an interface that another one stands on.
type Lower struct {
	Name        string // "" where it is in another namespace
	Up, Carrier bool
}

// Listener is a bound socket. Address is unspecified where it takes all.
type Listener struct {
	Address netip.Addr
	PID     int    // 0 where not known
	Command string // "" where not known
	// Waiting are connections that the program has not accepted, or, of UDP,
	// bytes that it has not read (struct sk_buff and all).
	Waiting int
}

// Unnamed ends the message of a cause or finding whose command is left out.
const Unnamed = "; no command is shown: a name in it would be read as more than a name"

// maxWhys bounds what is said of one drop.
const maxWhys = 3

// Diagnose returns the proven causes, the one to look at first in front.
func Diagnose(c *Case) []drop.Why {
	d := newDiagnosis(c)
	var whys []drop.Why
	switch {
	case c.Verdict == "queue_failed":
		whys = d.queue()
	case c.Cause == "kernel":
		whys = d.kernel()
	case c.Cause == "hook":
		whys = d.conntrackHook()
	default:
		whys = d.netfilter()
	}
	whys = whys[:min(len(whys), maxWhys)]
	if i := slices.IndexFunc(whys, func(w drop.Why) bool { return w.Fix == "" }); i >= 0 && d.unnamed {
		whys[i].Message += Unnamed
	}
	return whys
}
