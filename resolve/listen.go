package resolve

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/event"
)

// resolveListen is for a SYN that a listening socket refused. The kernel gives
// it neither a reason nor a place.
func resolveListen(e *event.Event, d *drop.Drop) {
	d.Location = "tcp_conn_request"
	d.Reason = ""
	if e.DevIndex != 0 {
		d.In = &drop.Interface{Index: e.DevIndex, Name: event.Text(e.DevName[:])}
	}
	q := &e.Listen
	service := "the socket"
	if p := d.Packet.DestinationPort; p != nil {
		service = fmt.Sprintf("port %d", *p)
	}
	switch q.Kind {
	case event.ListenAcceptQueue:
		d.Why = []drop.Why{{
			Code: drop.WhyAcceptQueueFull,
			Message: fmt.Sprintf("the accept queue of %s is full: %d connections wait for accept(), the limit is %d",
				service, q.Waiting, q.Limit),
			Fix: "the program accepts too slowly, or its listen() backlog is too short; sysctl net.core.somaxconn caps that",
		}}
	case event.ListenSYNQueue:
		d.Why = []drop.Why{{
			Code:    "syn-queue-full",
			Message: fmt.Sprintf("the SYN queue of %s is full (limit %d), and SYN cookies are off", service, q.Limit),
			Fix:     "sysctl -w net.ipv4.tcp_syncookies=1, or raise the listen() backlog and net.ipv4.tcp_max_syn_backlog",
		}}
	default:
		d.Why = []drop.Why{{
			Code:    "syn-refused",
			Message: fmt.Sprintf("the listening socket of %s refused the connection: no memory, no route back, or a security module", service),
		}}
	}
}
