package diagnose

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/packet"
)

// liberal has conntrack take segments outside of the window that it saw.
const liberal = "net.netfilter.nf_conntrack_tcp_be_liberal"

// malformed is for what is invalid whatever conntrack has of its connection (tcp_error,
// udp_error, icmp_error).
const malformed = "the packet itself is malformed, or its checksum is wrong"

// whyInvalid is what conntrack says or, where no probe heard it, what its table and
// the packet say.
func (d *diagnosis) whyInvalid() string {
	if f := d.failure(); f != nil && f.Reason != "" {
		if d.f.HasTCP && strings.Contains(f.Reason, "invalid new") { // tcp_new
			return d.neverBegun() + " (" + f.Reason + ")"
		}
		return f.Reason
	}
	if d.wrongChecksum() {
		return "its checksum is wrong"
	}
	if d.f.HasICMP && d.f.HasInner {
		return fmt.Sprintf("it is an error about a connection that conntrack does not know (%s to %s)",
			d.f.Inner.Source, d.f.Inner.Destination)
	}
	e, known := d.entryNow()
	switch {
	case d.f.Protocol == packet.ProtoUDP: // with or without an entry it fits
		return malformed
	case !d.f.HasTCP && known && e == nil:
		return "conntrack has no connection of its addresses and ports"
	case !d.f.HasTCP && known:
		return "conntrack has its connection, which it does not fit, or " + malformed
	case !d.f.HasTCP:
		return "it fits no connection that conntrack knows, or " + malformed
	case d.f.TCP.Flags&(packet.SYN|packet.ACK) == packet.SYN && known && e == nil: // it would begin one
		return malformed
	case known && e == nil:
		return "conntrack has no connection of its addresses and ports: " + d.neverSeen()
	case known:
		return d.ofConnection(e)
	}
	switch f := d.f.TCP.Flags; {
	case f&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK:
		return d.neverBegun()
	case f&packet.SYN != 0:
		return "it is a SYN that does not fit the connection that conntrack knows, or " + malformed
	case f&packet.RST != 0:
		return "it resets a connection that conntrack does not know or has closed, or is outside of its window, or its checksum is wrong"
	}
	return "it is of a connection that conntrack does not know or has closed, or is outside of its window, or its checksum is wrong"
}

// entryNow is conntrack's entry for the packet's addresses and ports; nil where there
// is none. known is false where that cannot be told.
func (d *diagnosis) entryNow() (e *table.Entry, known bool) {
	if d.c.Lookup == nil || !d.f.ip() || !d.f.HasPorts || !portProtocol(d.f.Protocol) || d.zones() {
		return nil, false
	}
	e, err := d.c.Lookup(d.tuple(), 0)
	if errors.Is(err, table.ErrNoEntry) {
		return nil, true
	}
	return e, err == nil
}

// neverSeen is for a segment of a connection that conntrack has not.
func (d *diagnosis) neverSeen() string {
	switch f := d.f.TCP.Flags; {
	case f&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK:
		return "it answers a SYN that conntrack has not seen, as when the two ways differ"
	case f&packet.RST != 0:
		return "the connection that it resets is over, was idle for too long, or passed here one way only"
	}
	return "the connection is over, was idle for too long, began before conntrack, or passes here one way only, or its checksum is wrong"
}

// ofConnection is for a segment of a connection that conntrack has.
func (d *diagnosis) ofConnection(e *table.Entry) string {
	state := strings.ToUpper(netfilter.TCPState(e.TCPState))
	flags := d.f.TCP.Flags
	const synSent, synReceived, established, closed = 1, 2, 3, 8 // enum tcp_conntrack
	switch {
	case flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK && e.TCPState == synSent:
		return "conntrack has its connection in the state SYN_SENT: " +
			"it comes from the side that sent the SYN, or acknowledges another number, or its checksum is wrong"
	case flags&packet.SYN != 0:
		return fmt.Sprintf("conntrack has its connection in the state %s, which a segment with these flags (%s) does not fit, "+
			"or it is outside of the window, or its checksum is wrong", state, strings.Join(flags.Names(), ", "))
	case flags&packet.RST != 0:
		return fmt.Sprintf("conntrack has its connection in the state %s, and the reset is outside of its window, or its checksum is wrong", state)
	case e.TCPState == established && d.liberal():
		return "conntrack has its connection as established: its checksum is wrong, or its flags are not valid (" + liberal + " is 1)"
	case e.TCPState == established:
		return "conntrack has its connection as established: it is outside of the window that conntrack saw, or its checksum is wrong; " +
			liberal + "=1 lets pass what is outside, where packets take two ways or windows are rewritten"
	case e.TCPState > established && e.TCPState <= closed:
		return fmt.Sprintf("conntrack has its connection as closed or closing (%s), and it does not fit that, or its checksum is wrong", state)
	case e.TCPState == synSent:
		return "conntrack has its connection in the state SYN_SENT, which it does not fit: " +
			"the answer to the SYN passes elsewhere, or was not seen, or its checksum is wrong"
	case e.TCPState == synReceived:
		return "conntrack has its connection in the state SYN_RECV: it is outside of the window, or its checksum is wrong"
	}
	return fmt.Sprintf("conntrack has its connection in the state %s, which it does not fit, or its checksum is wrong", state)
}

// outsideWindow reports whether the window is what conntrack most likely minds.
func (d *diagnosis) outsideWindow() bool {
	const established = 3
	if !d.f.HasTCP || d.f.TCP.Flags&(packet.SYN|packet.RST) != 0 || d.liberal() {
		return false
	}
	if f := d.failure(); f != nil && f.Reason != "" {
		return windowComplaint.MatchString(f.Reason)
	}
	e, known := d.entryNow()
	return known && e != nil && e.TCPState == established && !d.wrongChecksum()
}

// windowComplaint matches what tcp_in_window logs of a segment outside of the window,
// 5.10 to 7.2.
var windowComplaint = regexp.MustCompile(`(?i)window|upper bound|lower bound|bytes more than expected`)

func (d *diagnosis) liberal() bool {
	n, ok := d.number(strings.ReplaceAll(liberal, ".", "/"))
	return ok && n != 0
}

// neverBegun is for a segment that can begin no connection, where none is known.
func (d *diagnosis) neverBegun() string {
	if d.f.TCP.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK {
		return "it answers a SYN that conntrack has not seen, as when the two ways differ"
	}
	return "it begins no connection, and conntrack knows none that it is part of"
}
