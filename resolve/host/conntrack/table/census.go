package table

import (
	"context"
	"net/netip"

	"github.com/droptrace/droptrace/resolve/netfilter"
)

// Census says who fills a table.
type Census struct {
	Entries      uint64
	States       []Ranked[State]
	Sources      []Ranked[netip.Addr] // of the original direction
	Destinations []Ranked[Service]
}

// State is a protocol with what makes its entries last.
type State struct {
	Protocol uint8
	TCPState uint8 // enum tcp_conntrack; 0 for other protocols
	// Unreplied: no packet came back. Assured entries are never dropped early.
	Unreplied, Assured bool
}

// Service is where connections lead to: the destination port of the original
// direction.
type Service struct {
	Protocol uint8
	Port     uint16
}

const (
	// censusRoom bounds memory: 4,096 sources, about 500 KB. A source with
	// more than 1/4096 of the table is never missed.
	censusRoom = 4096
)

// Census reads every entry once: about 1 µs each, in memory that does not grow
// with the table. Each list has n entries at most.
func (r *Reader) Census(ctx context.Context, n int) (*Census, error) {
	states := NewTop[State](censusRoom)
	sources := NewTop[netip.Addr](censusRoom)
	services := NewTop[Service](censusRoom)
	err := r.Each(ctx, func(e *Entry) error {
		o := &e.Original
		states.Add(State{
			Protocol: o.Protocol, TCPState: e.TCPState,
			Unreplied: e.Status&netfilter.StatusSeenReply == 0, Assured: e.Status&netfilter.StatusAssured != 0,
		}, 1)
		sources.Add(o.Source, 1)
		service := Service{Protocol: o.Protocol, Port: o.DestinationPort}
		if o.Protocol == numberICMP || o.Protocol == numberICMP6 {
			service.Port = 0 // type and code stand there
		}
		services.Add(service, 1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Census{
		Entries: states.Total, States: states.List(n),
		Sources: sources.List(n), Destinations: services.List(n),
	}, nil
}

// Pool says how far the ports of an address that SNAT gives out are in use
// towards one destination.
type Pool struct {
	Address     netip.Addr // that packets leave with
	Destination netip.AddrPort
	Protocol    uint8
	InUse       int // ports
	Low, High   uint16
}

// PoolOf counts the ports in use by the entries whose reply tuple is like this
// one but for the port that NAT chose. It reads the whole table.
func (r *Reader) PoolOf(ctx context.Context, reply *Tuple) (*Pool, error) {
	p := &Pool{
		Address: reply.Destination, Protocol: reply.Protocol,
		Destination: netip.AddrPortFrom(reply.Source, reply.SourcePort),
	}
	var used [1 << 16]bool
	err := r.Each(ctx, func(e *Entry) error {
		t := &e.Reply
		if t.Protocol != p.Protocol || t.Destination != p.Address ||
			t.Source != reply.Source || t.SourcePort != reply.SourcePort {
			return nil
		}
		used[t.DestinationPort] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	for port, u := range used {
		if !u {
			continue
		}
		if p.InUse == 0 {
			p.Low = uint16(port)
		}
		p.High = uint16(port)
		p.InUse++
	}
	return p, nil
}
