package diagnose

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// Sockets is a [Machine] that knows all sockets of a port, not only those that
// listen.
type Sockets interface {
	Sockets(protocol string, port uint16) (list []Socket, ok bool)
}

// SocketState is TCP's, as in /proc/net/tcp (enum of net/tcp_states.h). UDP sockets
// are established where they are connected, else closed.
type SocketState uint8

// States that a diagnosis asks for.
const (
	SocketEstablished SocketState = 1
	SocketSynSent     SocketState = 2
	SocketClosed      SocketState = 7
	SocketListening   SocketState = 10
)

// Socket is a socket with a local port.
type Socket struct {
	Local, Remote netip.AddrPort // Remote is unspecified where it has none
	State         SocketState
	V6            bool // of the family AF_INET6
	Inode         string
	PID           int    // 0 where not known
	Command       string // "" where not known
	// Looked says that the next two are known.
	Looked bool
	Device string // it is bound to this interface
	V6Only bool
}

func (s *Socket) who() string { return program(s.Command, s.PID) }

// sockets are those of the packet's destination port.
func (d *diagnosis) sockets() (list []Socket, ok bool) {
	return d.socketsOf(d.f.DestinationPort)
}

func (d *diagnosis) socketsOf(port uint16) (list []Socket, ok bool) {
	if m, full := d.c.Machine.(Sockets); full {
		if list, ok = m.Sockets(d.f.Protocol.String(), port); ok {
			return list, true
		}
	}
	// Too many to read: those that listen are found sooner.
	found, ok := d.c.Machine.Listeners(d.f.Protocol.String(), port)
	for _, l := range found {
		s := Socket{Local: netip.AddrPortFrom(l.Address, port), State: SocketListening, V6: l.Address.Is6(), PID: l.PID, Command: l.Command}
		if !l.Address.IsValid() {
			s.Local = netip.AddrPortFrom(netip.IPv6Unspecified(), port)
			s.V6 = true
		}
		list = append(list, s)
	}
	return list, ok
}

// waiting are the sockets that take packets which open something: those of TCP that
// listen, all of UDP.
func waiting(all []Socket, tcp bool) (list []Socket) {
	for _, s := range all {
		if s.State == SocketListening || !tcp {
			list = append(list, s)
		}
	}
	return list
}

// refusal says why a socket does not take the packet (compute_score in
// net/ipv4/udp.c and inet_hashtables.c); "" where it would, or where that is not
// known.
func (d *diagnosis) refusal(s *Socket) string {
	to, in := d.f.Destination, d.f.in
	local := s.Local.Addr().Unmap()
	v4only := !s.V6 || local.Is4() && !local.IsUnspecified()
	switch {
	case to.Is6() && v4only:
		return "takes IPv4 only"
	case to.Is4() && s.V6 && s.V6Only:
		return "takes IPv6 only (IPV6_V6ONLY)"
	case to.Is4() && s.V6 && local.Is6() && !local.IsUnspecified(), local.IsValid() && !local.IsUnspecified() && local != to && !to.IsMulticast():
		return fmt.Sprintf("listens only at %s, not at %s", local, to)
	case s.Remote.Port() != 0 && s.State == SocketEstablished && s.Remote != netip.AddrPortFrom(d.f.Source, d.f.SourcePort):
		return fmt.Sprintf("is connected to %s and takes only what comes from there", s.Remote)
	case !s.Looked || in == "":
		return ""
	}
	vrf := ""
	if i, ok := d.c.Machine.Interface(in); ok {
		vrf = i.VRF
	}
	switch {
	case s.Device != "" && s.Device != in && s.Device != vrf:
		return fmt.Sprintf("is bound to %s, and it came in by %s", s.Device, in)
	case s.Device == "" && vrf != "":
		name := "net.ipv4." + d.f.Protocol.String() + "_l3mdev_accept"
		if n, ok := d.number(strings.ReplaceAll(name, ".", "/")); ok && n == 0 {
			return fmt.Sprintf("is outside of the VRF %s that %s is in (%s is 0)", vrf, in, name)
		}
	}
	return ""
}

// someOf joins the first of a list.
func someOf(list []string) string {
	const most = 2
	if len(list) > most {
		return fmt.Sprintf("%s, and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// noListener: the packet came to where sockets are, and none took it.
func (d *diagnosis) noListener() []drop.Why {
	if !d.f.HasPorts {
		return nil
	}
	none := []drop.Why{{Code: drop.WhyNoListener, Message: fmt.Sprintf("%s takes %s on %s", d.nobody(), d.f.service(), d.f.Destination)}}
	if d.c.Machine == nil {
		return none
	}
	list, ok := d.sockets()
	if d.f.HasTCP && d.f.TCP.Flags&packet.SYN == 0 {
		return d.forgotten(list, ok)
	}
	if own, known := d.c.Machine.Local(d.f.Destination); known && !own && d.f.Destination.IsGlobalUnicast() {
		return []drop.Why{{Code: drop.WhyNoListener, Message: fmt.Sprintf(
			"%s is not an address of this host: it was delivered here as TPROXY does, and no transparent socket takes it", d.f.Destination)}}
	}
	if !ok {
		return none
	}
	var refused []string
	for _, s := range waiting(list, d.f.HasTCP) {
		why := d.refusal(&s)
		switch {
		case why != "":
		case s.Looked || s.Inode == "":
			return nil // it was not so when the packet came, or no longer
		default:
			why = "has it, but did not take this: it is bound to another interface or takes IPv6 only, or came since"
		}
		refused = append(refused, s.who()+" "+why)
	}
	if len(refused) > 0 {
		return []drop.Why{{Code: drop.WhyNoListener, Message: fmt.Sprintf("no socket on %s takes it: %s", d.f.service(), someOf(refused))}}
	}
	if n := len(list); n > 0 {
		none[0].Message += fmt.Sprintf(": its port has connections (%d), but nothing listens any more", n)
	}
	return none
}

// forgotten: a segment from the middle of a connection that no socket has. A reset
// is answered to nobody.
func (d *diagnosis) forgotten(list []Socket, ok bool) []drop.Why {
	from := netip.AddrPortFrom(d.f.Source, d.f.SourcePort)
	for _, s := range list {
		if s.Remote == from {
			ok = false // it is there by now
		}
	}
	if !ok || d.f.TCP.Flags&packet.RST != 0 {
		return nil
	}
	return []drop.Why{{Code: drop.WhyConnectionUnknown, Message: fmt.Sprintf(
		"no socket has its connection with %s: this side closed it or was restarted, and its peer does not know yet", from)}}
}

// nobody names who could take a packet: for some ports of UDP it is an interface.
func (d *diagnosis) nobody() string {
	if d.f.Protocol == packet.ProtoUDP {
		if kind := tunnelPort(d.f.DestinationPort); kind != "" {
			return "no program and no " + kind + " interface"
		}
	}
	return "no program"
}

// tunnelPort is the kind of interface that receives on a port of UDP: those that IANA
// assigned, and Linux's own default for VXLAN.
func tunnelPort(port uint16) string {
	switch port {
	case 4789, 8472:
		return "VXLAN"
	case 6081:
		return "Geneve"
	case 6635:
		return "MPLS-in-UDP"
	case 5555:
		return "FOU"
	case 6080:
		return "GUE"
	case 51820:
		return "WireGuard"
	case 2152:
		return "GTP"
	case 4754:
		return "GRE-in-UDP"
	}
	return ""
}

// proxied reports whether a TPROXY rule may be what the packet is for: the proxy has
// another port than the packet.
func (d *diagnosis) proxied() bool {
	for r := range d.rules() {
		for _, o := range shapeOf(r).doubts {
			if strings.EqualFold(o.Kind, "tproxy") && !d.otherPort(r) && !d.otherProtocol(r) {
				return true
			}
		}
	}
	return false
}

// otherProtocol reports whether the rule is for another protocol than the packet's.
func (d *diagnosis) otherProtocol(r *ruleset.Rule) bool {
	for _, m := range shapeOf(r).matches {
		if looksAt(m, ruleset.L4Protocol, ruleset.IPProtocol) && len(m.Fields) == 1 && m.Set == nil && !m.Negate && m.Mask == nil {
			held := false
			for _, v := range m.Ranges {
				held = held || between(v, []byte{byte(d.f.Protocol)})
			}
			if !held {
				return true
			}
		}
	}
	return false
}
