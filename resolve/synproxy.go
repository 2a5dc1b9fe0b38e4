package resolve

import (
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/event"
)

// resolveStolen is for a SYN that synproxy has answered.
func resolveStolen(e *event.Event, d *drop.Drop) {
	d.Verdict, d.Location, d.Reason = "stolen", "synproxy_send_client_synack", ""
	if d.Rule == nil {
		d.Cause, d.Function = "hook", d.Location
	}
	d.Why = []drop.Why{{
		Code:    "synproxy",
		Message: "synproxy has answered this SYN itself: the server sees none of it until the client's ACK brings the cookie back",
	}}
}
