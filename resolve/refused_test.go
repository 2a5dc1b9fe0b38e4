package resolve

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/event"
)

func TestWhatRefusedAtTheSocket(t *testing.T) {
	const known = event.FiltersKnown
	for _, test := range []struct {
		name, reason string
		socket       event.SocketInfo
		want         string
	}{
		{"the cgroup's", "SOCKET_FILTER", event.SocketInfo{Kind: event.SocketReceives, Filters: known | event.CgroupFilter}, drop.WhyCgroupProgram},
		{"the socket's", "SOCKET_FILTER", event.SocketInfo{Kind: event.SocketReceives, Filters: known | event.OwnFilter}, drop.WhySocketFilter},
		{"either", "SOCKET_FILTER", event.SocketInfo{Kind: event.SocketReceives, Filters: known | event.OwnFilter | event.CgroupFilter}, drop.WhyCgroupProgram},
		{"neither", "SOCKET_FILTER", event.SocketInfo{Kind: event.SocketReceives, Filters: known}, drop.WhySecurityModule},
		{"not known", "SOCKET_FILTER", event.SocketInfo{Kind: event.SocketReceives}, ""},
		{"no receiver", "SOCKET_FILTER", event.SocketInfo{Filters: known | event.OwnFilter}, ""},
		{"the socket is full", "PROTO_MEM", event.SocketInfo{Kind: event.SocketReceives, Queued: 5000, Limit: 4096}, drop.WhyReceiveBufferFull},
		{"the protocol is", "PROTO_MEM", event.SocketInfo{Kind: event.SocketReceives, Queued: 100, Limit: 4096}, ""},
		{"something else", "NO_SOCKET", event.SocketInfo{Kind: event.SocketReceives, Filters: known | event.OwnFilter, Queued: 2, Limit: 1}, ""},
	} {
		got := ""
		if whys := socketRefused(&event.Event{Socket: test.socket}, test.reason); len(whys) > 0 {
			got = whys[0].Code
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
