package correlate

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

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
	window []*recorded // recorded, not expired, about in order
	ended  bool        // no more drops
	over   bool        // no more frames
	lastD  int64       // latest drop read
	lastF  int64       // latest frame read
	to     int64       // end of the recording, once known
	found  []*recorded
	// The packet that is looked at.
	packet  identity
	content []byte
	ready   results
	counts  Counts
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
	d := &recorded{number: in.Number, at: in.Drop.Time.UnixNano(), drop: in.Drop}
	c.lastD = max(c.lastD, d.at)
	// Of a long time with nothing captured, before it or after it, nothing is kept.
	if d.at < c.lastF-int64(slack+skew) || c.over && d.at > c.lastF+int64(skew) {
		c.close(d)
		return
	}
	d.group = &group{drops: []*recorded{d}, open: 1}
	if d.id.read(in.EtherType, in.Bytes, nil) {
		d.setFlows()
		c.index.add(d)
	}
	c.window = append(c.window, d)
}

// look finds the drops that a packet may be.
func (c *Correlator) look(in *Frame, at int64) error {
	p := &c.packet
	if c.content == nil {
		c.content = make([]byte, 0, maxContent)
	}
	if !p.read(in.EtherType, in.Bytes, c.content) {
		c.counts.Unread++
		return nil
	}
	if !p.whole {
		c.index.wantCut(c.window)
	}
	from, to := at-int64(skew), at+int64(c.Within)
	found, more := c.index.find(p, from, to, c.found[:0])
	c.found = found
	if len(found) == 0 {
		return c.lookDatagram(in, p, at, from, to)
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
		Packet: drop.ReadPacket(f.ether, f.bytes),
	}
	heap.Push(&c.ready, r)
	return r
}

func (c *Correlator) dropped(f *frame, d *recorded, fragment bool) {
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
