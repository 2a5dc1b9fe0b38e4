// Package live traces this machine: the tracer with the resolver behind it, as a
// stream of drops or of conntrack failures.
//
// [Open] attaches the probes. A [Trace] is then read by one goroutine, as [Drops] or
// as [Failures]; what a [Report] says may be asked beside that. It changes nothing
// on the machine, and needs root.
package live

import (
	"context"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Drops hands out drops.
type Drops interface {
	// Next returns the next drop that matches; it may be overwritten when Next
	// is called again. When ctx is done the source detaches its probes, hands
	// out what the buffer still holds, and then returns io.EOF; any other error
	// is a failure. One goroutine calls it.
	Next(ctx context.Context) (*drop.Drop, error)
	// Capture returns the bytes of the drop that Next returned last, nil where
	// they are not known. They are valid until Next is called again.
	Capture() *drop.Capture
	Close() error
}

// Report is what can be asked beside the drops, and at the end of a run.
type Report interface {
	// About says what does the tracing, in few words: "Linux 6.12, fentry".
	About() string
	// Stats returns the counters so far. It may be called at any time, also
	// beside Next and after Close.
	Stats() drop.Counts
	// Losses tells the drops apart that Stats counts as lost. It may lag behind
	// until Next has returned io.EOF, and may be called as Stats may.
	Losses() drop.Lost
	// Arrivals counts packets that match and were not dropped, too: nil where that
	// was not asked for. It may be called as Stats may.
	Arrivals() *drop.Arrivals
	// Hidden says what could hide drops that match: XDP, flowtables and the
	// like on the interfaces asked for. It is called after Close.
	Hidden() []string
	// Grown says which of the kernel's counters of packets lost or left unanswered
	// grew since Open, in the namespaces asked for, most first. It is called after
	// Close.
	Grown() []string
	// Beside says what happened to packets that is no drop, and might be taken
	// for one, and what is droptrace's own fault. It is called after Close.
	Beside() []string
}

// Failures hands out conntrack failures, of a source opened with Config.Conntrack.
type Failures interface {
	// NextFailure is Drops.Next for conntrack failures.
	NextFailure(ctx context.Context) (*drop.ConntrackFailure, error)
	// FailuresLost counts those that found no room in the buffer, and the probes'
	// runs that the kernel skipped.
	FailuresLost() (lost, missed uint64)
	// CountsBefore are the counters of a namespace when tracing began; zeros of
	// one that came later.
	CountsBefore(inode uint32) drop.ConntrackCounts
	// Ctnetlink reports whether asking it loads no module.
	Ctnetlink() bool
}

// Config says what to trace.
type Config struct {
	Filter     Filter
	Expression string // tcpdump's; "" means all
	Probes     string // auto, fentry, kprobe or tracepoint
	BufferSize int    // of the ring buffer, in bytes; 0: 8 MiB, and 16 with Snaplen
	All        bool   // frees that lose no packet are wanted too
	Stack      bool   // with the kernel stack
	NoWhy      bool   // no diagnosis
	Snaplen    int    // bytes of each packet wanted; 0: none
	Arrivals   bool   // count packets that match, dropped or not
	Conntrack  bool   // only conntrack failures: it is read as Failures
	Resolved   bool   // with Conntrack: clashes that lost nothing, too
	// Notify takes what the user has to know. It may be called from any
	// goroutine and does not block.
	Notify func(drop.Notice)
}

// The rings, each of which is mapped twice. A record takes some 750 bytes, and the
// packet's own with -w: there is room for 30 ms of the fastest flood, which is
// longer than a process waits for a CPU.
const (
	defaultBuffer   = 8 << 20
	recordingBuffer = 2 * defaultBuffer
)

func (c *Config) bufferSize() int {
	switch {
	case c.BufferSize > 0:
		return c.BufferSize
	case c.Snaplen > 0:
		return recordingBuffer
	}
	return defaultBuffer
}

// Filter holds the filter flags as the user wrote them. Values of one field are
// alternatives, fields narrow each other.
type Filter struct {
	Port, Sport, Dport []string
	Host, Src, Dst     []string
	Proto              []string
	Iface, In, Out     []string
	Netns              []string
	Hook, Table, Chain []string
	Reason, CTState    []string
	Mark               []string
	Netfilter          bool
}
