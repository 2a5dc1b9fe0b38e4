package correlate

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"time"

	"github.com/droptrace/droptrace/resolve"
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
	Drop      *resolve.Drop
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
	Packet resolve.Packet
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
	Drop   *resolve.Drop
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

const (
	// skew is how much later than its drop a packet may seem to be captured:
	// clocks are read one after the other, and microseconds are cut off.
	skew = time.Millisecond
	// slack is how far a file may be out of order.
	slack = 50 * time.Millisecond
)

// Correlator compares a capture with a recording.
type Correlator struct {
	Options
	in   Input
	emit func(*Result) error

	index  index
	window []*drop // recorded, not expired, about in order
	ended  bool    // no more drops
	over   bool    // no more frames
	lastD  int64   // latest drop read
	lastF  int64   // latest frame read
	to     int64   // end of the recording, once known
	found  []*drop
	ready  results
	counts Counts
}

// Run reads both inputs to their ends. emit is called in order of time, but for
// packets that wait for long chains of equal ones.
func Run(ctx context.Context, in Input, o Options, emit func(*Result) error) (Counts, error) {
	c := &Correlator{Options: o, in: in, emit: emit}
	c.index = index{
		hash: hasher{seed: maphash.MakeSeed()},
		best: make(map[uint64]*bucket), datagrams: make(map[uint64]*bucket),
	}
	var f Frame
	var frameErr error
	for ctx.Err() == nil {
		f = Frame{}
		if frameErr = in.Frames(&f); frameErr != nil {
			break
		}
		if err := c.frame(&f); err != nil {
			return c.counts, err
		}
	}
	if errors.Is(frameErr, io.EOF) {
		frameErr = nil
	}
	if err := c.finish(); err != nil {
		return c.counts, errors.Join(frameErr, err)
	}
	return c.counts, cmp.Or(frameErr, context.Cause(ctx))
}

// frame takes in one captured packet.
func (c *Correlator) frame(in *Frame) error {
	at := in.Time.UnixNano()
	c.counts.Frames++
	if c.counts.Frames == 1 {
		c.counts.First, c.counts.Last, c.lastF = in.Time, in.Time, at
	}
	if at < c.lastF-int64(slack) {
		c.counts.Disordered++
	}
	if at > c.lastF {
		c.lastF, c.counts.Last = at, in.Time
	}
	if err := c.load(at + int64(c.Within+slack)); err != nil {
		return err
	}
	c.expire(c.lastF - int64(slack+skew))
	if err := c.look(in, at); err != nil {
		return err
	}
	return c.flush(c.lastF - int64(2*(c.Within+slack+skew)))
}

// load reads drops until one is later than that.
func (c *Correlator) load(until int64) error {
	for !c.ended && c.lastD < until {
		var in Drop
		err := c.in.Drops(&in)
		if errors.Is(err, io.EOF) {
			c.ended = true
			c.to = c.lastD
			if c.in.To != nil {
				if to := c.in.To(); !to.IsZero() {
					c.to = to.UnixNano()
				}
			}
			return nil
		}
		if err != nil {
			return err
		}
		c.add(&in)
	}
	return nil
}

// add takes in one drop.
func (c *Correlator) add(in *Drop) {
	c.counts.Drops++
	d := &drop{number: in.Number, at: in.Drop.Time.UnixNano(), drop: in.Drop}
	c.lastD = max(c.lastD, d.at)
	// Of a long time with nothing captured, before it or after it, nothing is kept.
	if d.at < c.lastF-int64(slack+skew) || c.over && d.at > c.lastF+int64(skew) {
		c.close(d)
		return
	}
	d.group = &group{drops: []*drop{d}, open: 1}
	if d.id.read(in.EtherType, in.Bytes, nil) {
		d.setFlows()
		c.index.add(d)
	}
	c.window = append(c.window, d)
}

// look finds the drops that a packet may be.
func (c *Correlator) look(in *Frame, at int64) error {
	var p identity
	var buf [maxContent]byte
	if !p.read(in.EtherType, in.Bytes, buf[:0]) {
		c.counts.Unread++
		return nil
	}
	if !p.whole {
		c.index.wantCut(c.window)
	}
	from, to := at-int64(skew), at+int64(c.Within)
	found, more := c.index.find(&p, from, to, c.found[:0])
	c.found = found
	if len(found) == 0 {
		return c.lookDatagram(in, &p, at, from, to)
	}
	f := c.newFrame(in, at)
	if more {
		f.drops = append(f.drops, found...)
		for _, d := range found {
			d.unsure = true
		}
		c.ambiguous(f, true)
		return nil
	}
	g := found[0].group.root()
	for _, d := range found {
		g = join(g, d.group)
		d.frames = append(d.frames, f)
		f.drops = append(f.drops, d)
	}
	g.frames = append(g.frames, f)
	if len(g.frames)+len(g.drops) > maxGroup {
		c.giveUp(g)
	}
	return nil
}

func (c *Correlator) newFrame(in *Frame, at int64) *frame {
	const shown = 160 // as much as a live drop is read from
	return &frame{
		number: in.Number, at: at, ether: in.EtherType,
		bytes: append([]byte(nil), in.Bytes[:min(len(in.Bytes), shown)]...),
	}
}

// lookDatagram tries a fragment, and else says that there was no drop.
func (c *Correlator) lookDatagram(in *Frame, p *identity, at, from, to int64) error {
	if p.fragment.is {
		c.found = c.index.findDatagram(p, from, to, c.found[:0])
	}
	switch len(c.found) {
	case 0:
		return c.noDrop(in, at)
	case 1:
		d := c.found[0]
		d.parts++
		f := c.newFrame(in, at)
		c.dropped(f, d, true)
		return nil
	}
	f := c.newFrame(in, at)
	for _, d := range c.found {
		d.unsure = true
		f.drops = append(f.drops, d)
	}
	c.ambiguous(f, false)
	return nil
}

func (c *Correlator) noDrop(in *Frame, at int64) error {
	status, n := NoDrop, &c.counts.NoDrop
	if !c.in.From.IsZero() && at < c.in.From.UnixNano() || c.ended && at > c.to+int64(skew) {
		status, n = Outside, &c.counts.Outside
	}
	*n++
	if c.Passed {
		f := c.newFrame(in, at)
		c.push(f, status)
	}
	return nil
}

// push has a frame told once it is its turn.
func (c *Correlator) push(f *frame, status Status) *Result {
	r := &Result{
		Status: status, Time: time.Unix(0, f.at), Frame: f.number,
		Packet: resolve.ReadPacket(f.ether, f.bytes),
	}
	heap.Push(&c.ready, r)
	return r
}

func (c *Correlator) dropped(f *frame, d *drop, fragment bool) {
	c.counts.Dropped++
	r := c.push(f, Dropped)
	r.Drop, r.After, r.Fragment = &Found{d.number, d.drop}, time.Duration(d.at-f.at), fragment
}

func (c *Correlator) ambiguous(f *frame, more bool) {
	f.decided = true
	c.counts.Ambiguous++
	r := c.push(f, Ambiguous)
	r.More = more
	for _, d := range f.left() {
		r.Candidates = append(r.Candidates, Found{d.number, d.drop})
	}
}

// expire closes the drops that no packet can be from now on.
func (c *Correlator) expire(before int64) {
	n := 0
	for ; n < len(c.window) && c.window[n].at < before; n++ {
		d := c.window[n]
		c.window[n] = nil
		d.expired = true
		if d.refs != nil {
			d.unsure = d.unsure || d.crowded(d.at-int64(c.Within), d.at+int64(skew))
			c.index.remove(d)
			d.refs = nil
		}
		g := d.group.root()
		if g.open--; g.open == 0 {
			c.decide(g)
		}
	}
	c.window = c.window[n:]
}

// decide closes a group.
func (c *Correlator) decide(g *group) {
	g.decide(func(f *frame, d *drop) {
		c.counts.Matched++
		c.dropped(f, d, false)
	})
	for _, f := range g.frames {
		switch {
		case f.decided:
		case len(f.left()) > 0:
			c.ambiguous(f, false)
		default: // others had a better claim to its candidates
			f.decided = true
			c.counts.NoDrop++
			if c.Passed {
				c.push(f, NoDrop)
			}
		}
	}
	for _, d := range g.drops {
		c.close(d)
	}
}

// close counts a drop that was not matched.
func (c *Correlator) close(d *drop) {
	switch {
	case d.decided:
		return
	case d.parts > 0:
		c.counts.Matched++
	case d.unsure || d.mayBeAny():
		c.counts.AmbiguousDrops++
	case d.at < c.counts.First.UnixNano()-int64(skew), d.at > c.lastF+int64(skew):
		c.counts.BesideCapture++
	default:
		c.counts.NotSeen++
		heap.Push(&c.ready, &Result{
			Status: NotSeen, Time: d.drop.Time, Packet: d.drop.Packet, Drop: &Found{d.number, d.drop},
		})
	}
	d.decided = true
}

// mayBeAny reports whether one of its candidates is no other drop's for certain.
func (d *drop) mayBeAny() bool {
	for _, f := range d.frames {
		if !f.matched {
			return true
		}
	}
	return false
}

// giveUp ends a group that has grown too long.
func (c *Correlator) giveUp(g *group) {
	for _, f := range g.frames {
		if !f.decided {
			c.ambiguous(f, false)
		}
	}
	for _, d := range g.drops {
		d.unsure = true
		d.frames = nil
		d.group = &group{drops: []*drop{d}, open: 1}
		if d.expired {
			c.close(d)
		}
	}
}

// finish decides what is left, and counts the drops after the capture's end.
func (c *Correlator) finish() error {
	c.over = true
	for !c.ended {
		if err := c.load(1<<63 - 1); err != nil {
			return err
		}
	}
	c.expire(1<<63 - 1)
	return c.flush(1<<63 - 1)
}

// flush tells what can no longer be preceded.
func (c *Correlator) flush(before int64) error {
	for len(c.ready) > 0 && c.ready[0].Time.UnixNano() < before {
		if err := c.emit(heap.Pop(&c.ready).(*Result)); err != nil {
			return err
		}
	}
	return nil
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
