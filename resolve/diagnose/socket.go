package diagnose

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
)

// acceptQueue: the packet ends a handshake, and the listening socket has no room for
// the connection.
func (d *diagnosis) acceptQueue() []drop.Why {
	l := d.fullest("tcp")
	if l == nil {
		return nil
	}
	waiting := fmt.Sprintf("%d connections wait", l.Waiting)
	if l.Waiting == 1 {
		waiting = "1 connection waits"
	}
	return []drop.Why{{Code: drop.WhyAcceptQueueFull, Message: fmt.Sprintf(
		"the accept queue of %s is full: %s for %s; it accepts too slowly, or its listen() backlog (at most net.core.somaxconn%s) is too short",
		d.f.service(), waiting, l.who(), d.setting("net/core/somaxconn"))}}
}

// receiveBuffer: the socket holds as much as its program lets it.
func (d *diagnosis) receiveBuffer() []drop.Why {
	l := d.fullest("udp")
	if l == nil {
		return nil
	}
	return []drop.Why{{Code: drop.WhyReceiveBufferFull, Message: fmt.Sprintf(
		"the receive buffer of %s is full: %d bytes wait for %s; it reads too slowly, or its SO_RCVBUF (net.core.rmem_default%s unless it asks for more) is too small",
		d.f.service(), l.Waiting, l.who(), d.setting("net/core/rmem_default"))}}
}

// fullest is the socket that takes the packet and for whose program most waits; nil
// where nothing does.
func (d *diagnosis) fullest(protocol string) (fullest *Listener) {
	if d.c.Machine == nil || !d.f.HasPorts || d.f.Protocol.String() != protocol {
		return nil
	}
	list, _ := d.c.Machine.Listeners(protocol, d.f.DestinationPort)
	for i := range list {
		l := &list[i]
		if l.takes(d.f.Destination) && l.Waiting > 0 && (fullest == nil || l.Waiting > fullest.Waiting) {
			fullest = l
		}
	}
	return fullest
}

// setting is " 4096", or nothing where the sysctl is not known.
func (d *diagnosis) setting(path string) string {
	if n, ok := d.number(path); ok {
		return fmt.Sprint(" ", n)
	}
	return ""
}
