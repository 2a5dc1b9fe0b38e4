package resolve

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/tracer/event"
)

func TestHoldersAreAllOrNone(t *testing.T) {
	two := machine.Held{By: []drop.Process{{PID: 1}, {PID: 2}}, Descriptors: 3}
	for _, test := range []struct {
		name       string
		held       held
		references uint32
		want       int
	}{
		{"nobody is hidden", held{Held: two, whole: true}, 4, 2},
		{"each reference is a descriptor that was found", held{Held: two}, 3, 2},
		{"somebody hidden has it, too", held{Held: two}, 4, 0},
		{"none was found", held{whole: true}, 1, 0},
	} {
		if got := test.held.all(test.references); len(got) != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestSocketOfAPacketSentOrReceived(t *testing.T) {
	symbols, err := symbol.Open()
	if err != nil {
		t.Skip(err)
	}
	defer symbols.Close()
	address := func(name string) uint64 {
		a, _ := symbols.Table().Address(name)
		return a
	}
	r := &Resolver{Config: Config{Symbols: symbols}}
	for _, test := range []struct {
		kind             event.SocketKind
		hook, destructor string
		want             string
	}{
		{event.SocketNone, "output", "sock_wfree", ""},
		{event.SocketReceives, "", "", drop.Receiver},
		{event.SocketOfPacket, "output", "sock_edemux", drop.Sender},
		{event.SocketOfRequest, "postrouting", "sock_edemux", drop.Sender},
		{event.SocketOfRequest, "input", "sock_edemux", drop.Receiver},
		{event.SocketOfRequest, "", "sock_edemux", ""}, // an answer, or what it answers
		{event.SocketOfPacket, "", "tcp_wfree", drop.Sender},
		{event.SocketOfPacket, "forward", "sock_wfree", drop.Sender}, // through veth and bridge
		{event.SocketOfPacket, "", "sock_edemux", drop.Receiver},
		{event.SocketOfPacket, "", "sock_rfree", drop.Receiver},
		{event.SocketOfPacket, "ingress", "kfree_skb", ""},
	} {
		e := &event.Event{}
		e.Socket.Kind, e.Socket.Destructor = test.kind, address(test.destructor)
		if got := r.socketRole(e, &drop.Drop{Hook: test.hook}); got != test.want {
			t.Errorf("kind %d, hook %q, %s: got %q, want %q", test.kind, test.hook, test.destructor, got, test.want)
		}
	}
}
