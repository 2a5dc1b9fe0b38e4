package resolve

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/event"
)

// socketRefused says what at the receiving socket refused the packet, where the kernel
// has one reason for several; nil where that is not known.
func socketRefused(e *event.Event, reason string) []drop.Why {
	if e.Socket.Kind != event.SocketReceives {
		return nil
	}
	switch reason {
	case "SOCKET_FILTER":
		return filtered(e.Socket.Filters)
	case "PROTO_MEM":
		return outOfMemory(&e.Socket)
	}
	return nil
}

// orModule: kernels without SECURITY_HOOK give the same reason for a security module.
const orModule = ", or a security module,"

// filtered: sk_filter_trim_cap looks whether memory is short, asks the cgroup's
// programs, then the security modules, then the socket's own filter, and says no more
// than that one refused.
func filtered(by event.SocketFilter) []drop.Why {
	const cgroup = "a BPF program of the socket's cgroup or of one above (systemd's IPAddressDeny= and IPAddressAllow= are such; bpftool cgroup tree lists them)"
	switch by &^ event.FiltersKnown {
	case event.OwnFilter | event.CgroupFilter:
		return []drop.Why{{Code: drop.WhyCgroupProgram, Message: cgroup + ", or the filter that the socket's program attached to it, refused the packet"}}
	case event.CgroupFilter:
		return []drop.Why{{Code: drop.WhyCgroupProgram, Message: cgroup + orModule + " refused the packet"}}
	case event.OwnFilter:
		return []drop.Why{{Code: drop.WhySocketFilter, Message: "the filter that the socket's program attached to it (SO_ATTACH_FILTER, SO_ATTACH_BPF)" + orModule + " refused the packet"}}
	}
	if by&event.FiltersKnown == 0 {
		return nil
	}
	return []drop.Why{{Code: drop.WhySecurityModule, Message: "neither the socket nor its cgroup has a filter: a security module refused the packet, or memory is short (nstat TcpExtPFMemallocDrop)"}}
}

// outOfMemory tells a socket that is full from a protocol that is: TCP gives both the
// same reason (tcp_try_rmem_schedule).
func outOfMemory(s *event.SocketInfo) []drop.Why {
	if s.Limit == 0 || s.Queued <= s.Limit {
		return nil
	}
	return []drop.Why{{Code: drop.WhyReceiveBufferFull, Message: fmt.Sprintf(
		"the socket's receive buffer is full: %d bytes of memory are in use, %d is the limit; its program reads too slowly", s.Queued, s.Limit)}}
}
