package replay

import (
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// changesSource tells the manipulations apart: source in postrouting and input,
// destination in prerouting and output (HOOK2MANIP).
func changesSource(hook string) bool { return hook == "postrouting" || hook == "input" }

// translate changes the packet as NAT does to the first of a connection. A
// source port may have to give way to another connection's, so that it is not
// known afterwards.
func (r *run) translate(s *state, n *ruleset.NAT) {
	s.nat = Yes
	var addr, port value
	addr, port = notKnown("translated"), notKnown("translated")
	if n.Known && n.From.IsValid() && n.From == n.To {
		addr = known(n.From.AsSlice())
	}
	keepsAddr := n.Known && !n.From.IsValid() && (n.Kind == ruleset.DNAT || n.Kind == ruleset.SNAT)
	keepsPort := false
	if !changesSource(r.hook.Name) && n.Known {
		if n.FromPort != 0 && n.FromPort == n.ToPort {
			port = number16(n.FromPort)
		}
		keepsPort = n.FromPort == 0
	}
	if n.Kind == ruleset.Redirect {
		addr = r.redirectAddress(s)
	}
	r.put(s, changesSource(r.hook.Name), addr, keepsAddr, port, keepsPort)
	r.bind(s)
}

// bind writes the translation into the connection's entry.
func (r *run) bind(s *state) {
	source := changesSource(r.hook.Name)
	v := *s.view // others may look at it
	v.values = make([]value, len(s.view.values))
	c := &v.packet.Conntrack
	s.view = &v
	addr := v.payload(&r.hook, ruleset.Network, addressAt(r.hook.Family, source), addressSize(r.hook.Family))
	port := absent()
	if v.layout.l4 == Present && hasPorts(v.layout.protocol) {
		port = v.payload(&r.hook, ruleset.Transport, map[bool]int{true: 0, false: 2}[source], 2)
	}
	side, number, field := &c.Reply.Source, &c.Reply.SourcePort, ruleset.CTReplySrcPort
	bit := uint32(netfilter.StatusDNAT)
	if source {
		side, number, field = &c.Reply.Destination, &c.Reply.DestinationPort, ruleset.CTReplyDestPort
		bit = netfilter.StatusSNAT
	}
	c.Status |= bit
	*side = addr.bytes
	*number = uint16(port.number)
	if port.presence == NotKnown {
		s.assign(field, port)
	}
}

func addressSize(family string) int {
	if family == "ip6" {
		return 16
	}
	return 4
}

// addressAt is where an address stands in the network header.
func addressAt(family string, source bool) int {
	at := 12
	if family == "ip6" {
		at = 8
	}
	if !source {
		at += addressSize(family)
	}
	return at
}

// redirectAddress is loopback for packets of this host; else the first address of
// the interface that the packet came in by.
func (r *run) redirectAddress(s *state) value {
	if r.hook.Name == "output" {
		if r.hook.Family == "ip" {
			return known([]byte{127, 0, 0, 1})
		}
		return known(append(make([]byte, 15), 1))
	}
	if e, ok := r.env.(Addresses); ok && s.view.packet.In.Known {
		if b, presence := e.Address(s.view.packet.In, r.hook.Family); presence == Present {
			return known(b)
		}
	}
	return notKnown("address of the interface is not known")
}

// Addresses is an [Environment] that knows the first address of an interface,
// which REDIRECT and MASQUERADE take.
type Addresses interface {
	Address(i Interface, family string) ([]byte, Presence)
}

// rewrite is the NAT hook for a packet whose connection has its translation.
func (r *run) rewrite(s *state) *state {
	inet := r.hook.Family == "ip" || r.hook.Family == "ip6"
	c := &s.view.packet.Conntrack
	if !inet || r.hook.Name == "forward" || !c.Entry || c.Status&(netfilter.StatusSNAT|netfilter.StatusDNAT) == 0 {
		return s
	}
	s = s.copy()
	other := c.Reply
	if c.Direction != 0 {
		other = c.Original
	}
	source := changesSource(r.hook.Name)
	addr, port := other.Source, other.SourcePort
	if source {
		addr, port = other.Destination, other.DestinationPort
	}
	if s.ct&ruleset.CTRelated != 0 || len(addr) == 0 {
		// An ICMP error is rewritten as the packet that it quotes.
		s.view = s.view.forget(region{0, 1 << 16})
		return s
	}
	r.put(s, source, known(addr), false, number16(port), false)
	return s
}

// put writes address and port of one side.
func (r *run) put(s *state, source bool, addr value, keepsAddr bool, port value, keepsPort bool) {
	if !keepsAddr {
		s.view = s.view.change(addressAt(r.hook.Family, source), addressSize(r.hook.Family), addr)
	}
	l := &s.view.layout
	if l.l4 != Present || l.later || !hasPorts(l.protocol) || keepsPort {
		return
	}
	at := l.transport
	if !source {
		at += 2
	}
	s.view = s.view.change(at, 2, port)
}

// hasPorts tells protocols whose ports NAT changes.
func hasPorts(protocol uint8) bool {
	switch protocol {
	case protoTCP, protoUDP, protoDCCP, protoSCTP, protoUDPLite:
		return true
	}
	return false
}
