package correlate

import (
	"container/heap"
)

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
	g.decide(func(f *frame, d *recorded) {
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
func (c *Correlator) close(d *recorded) {
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
func (d *recorded) mayBeAny() bool {
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
		d.group = &group{drops: []*recorded{d}, open: 1}
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
