package correlate

import (
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Frame is one captured packet.
type Frame struct {
	Number uint64 // in the capture, from 1 on, as Wireshark counts
	Time   time.Time
	// EtherType and Bytes begin at the network header; no bytes where the link
	// type is not known. They are used until the next frame is asked for.
	EtherType uint16
	Bytes     []byte
}

// Drop is one recorded drop.
type Drop struct {
	Number    uint64 // in the recording, from 1 on
	Drop      *drop.Drop
	EtherType uint16 // and Bytes, as in Frame
	Bytes     []byte
}

// Input hands out what is to be compared. Each returns io.EOF at its end.
type Input struct {
	Frames func(*Frame) error
	Drops  func(*Drop) error
	// From and To bound the time in which drops were recorded; zero where that
	// is not known. To is asked for at the end of the drops.
	From time.Time
	To   func() time.Time
}

// Options of a Correlator.
type Options struct {
	// Within is how long after its capture a packet may be dropped.
	Within time.Duration
	// Passed has packets told that no drop was found for.
	Passed bool
}

// Status is what was found out about a packet.
type Status string

// Statuses.
const (
	Dropped   Status = "dropped"
	Ambiguous Status = "ambiguous"    // one of the candidates, or none: nothing tells
	NoDrop    Status = "no_drop"      // none was recorded for it
	Outside   Status = "outside"      // it was captured while nothing was recorded
	Unread    Status = "unread"       // too short, or of a link type that is not known
	NotSeen   Status = "not_captured" // a drop whose packet is not in the capture
)

// Result is what was found out about one captured packet or, with NotSeen, about a
// drop.
type Result struct {
	Status Status
	Time   time.Time
	Frame  uint64 // 0 with NotSeen
	Packet drop.Packet
	// Drop is the packet's, and with NotSeen itself; After is how long after
	// the capture it was.
	Drop  *Found
	After time.Duration
	// Fragment: the packet was put together with others, and dropped so.
	Fragment bool
	// Candidates are the drops that an ambiguous packet may be; More says that
	// there are others still.
	Candidates []Found
	More       bool
}

// Found is a drop in the recording.
type Found struct {
	Number uint64
	Drop   *drop.Drop
}

// Counts sum up a run. Frames = Dropped + Ambiguous + NoDrop + Outside + Unread.
type Counts struct {
	Frames, Dropped, Ambiguous, NoDrop, Outside, Unread uint64
	// Drops = Matched + AmbiguousDrops + NotSeen + BesideCapture.
	Drops, Matched, AmbiguousDrops, NotSeen uint64
	BesideCapture                           uint64    // before its first packet or after its last
	Disordered                              uint64    // frames too far out of order to be sure of
	First, Last                             time.Time // of the frames
}

// results is a heap by time.
type results []*Result

func (r results) Len() int { return len(r) }
func (r results) Less(i, j int) bool {
	if c := r[i].Time.Compare(r[j].Time); c != 0 {
		return c < 0
	}
	return r[i].Frame < r[j].Frame
}
func (r results) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r *results) Push(x any)   { *r = append(*r, x.(*Result)) }
func (r *results) Pop() any {
	old := *r
	x := old[len(old)-1]
	*r = old[:len(old)-1]
	old[len(old)-1] = nil
	return x
}
