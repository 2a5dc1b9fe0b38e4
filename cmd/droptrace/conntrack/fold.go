package conntrack

import (
	"net/netip"
	"sync"

	"github.com/droptrace/droptrace/resolve/drop"
)

const (
	failureQueue = 4096 // that wait to be written
	failureKeys  = 2048 // flows, and again causes, that are folded apart
)

// failureFold takes failures from the reader of the ring, which must never wait,
// and hands them to the writer. Where those are too many equal ones are folded:
// by flow, and where flows are too many by cause. Every failure is in exactly one
// record, or counted in its repeats.
type failureFold struct {
	wake chan struct{} // has a token where there is something to take

	mu     sync.Mutex
	ready  []*drop.ConntrackFailure
	folded map[failureKey]*drop.ConntrackFailure
	order  []*drop.ConntrackFailure // of folded
	closed bool
}

type failureKey struct {
	netns        uint32
	cause        drop.FailureCause
	lost         bool
	source, dest netip.Addr
	sport, dport uint16
	protocol     string
}

func newFailureFold() *failureFold {
	return &failureFold{
		wake:   make(chan struct{}, 1),
		folded: make(map[failureKey]*drop.ConntrackFailure),
	}
}

func failureKeyOf(f *drop.ConntrackFailure) failureKey {
	k := failureKey{
		netns: f.Netns.Inode, cause: f.Failure.Cause, lost: f.Lost,
		source: f.Packet.Source, dest: f.Packet.Destination, protocol: f.Packet.Protocol,
	}
	if f.Packet.SourcePort != nil {
		k.sport = *f.Packet.SourcePort
	}
	if f.Packet.DestinationPort != nil {
		k.dport = *f.Packet.DestinationPort
	}
	return k
}

func (q *failureFold) put(f *drop.ConntrackFailure) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.signal()
	if len(q.ready) < failureQueue {
		q.ready = append(q.ready, f)
		return
	}
	k := failureKeyOf(f)
	if first := q.folded[k]; first != nil {
		first.Repeats++
		return
	}
	mixed := len(q.folded) >= failureKeys
	if mixed {
		k = failureKey{netns: k.netns, cause: k.cause, lost: k.lost}
		if first := q.folded[k]; first != nil {
			first.Repeats++
			return
		}
	}
	f.Mixed = mixed
	q.folded[k] = f
	q.order = append(q.order, f)
}

func (q *failureFold) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *failureFold) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// take returns all that waits, in the order it came; last says that nothing
// will follow.
func (q *failureFold) take() (list []*drop.ConntrackFailure, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list = append(q.ready, q.order...)
	q.ready, q.order = nil, nil
	clear(q.folded)
	return list, q.closed
}
