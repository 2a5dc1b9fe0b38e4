package correlate

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/drop"
)

// recorded is a recorded drop within the window.
type recorded struct {
	number uint64
	at     int64
	drop   *drop.Drop
	id     identity
	// The flows it may have been captured in; its own is the first.
	flows  []flow
	inners []flow // of an ICMP error: how the quoted packet may have looked
	room   [3]flow
	refs   []ref

	frames  []*frame // that it may be
	group   *group
	expired bool // no packet can be added
	parts   int  // fragments that were captured of it
	unsure  bool // of its candidates not all are known
	decided bool
	matched bool
}

// frame is a captured packet that may be a drop.
type frame struct {
	number uint64
	at     int64
	bytes  []byte // from the network header on
	ether  uint16
	drops  []*recorded

	decided bool
	matched bool
}

// group is drops and packets that may be each other's. They are decided together,
// once no packet can join them.
type group struct {
	into   *group // that this one became part of
	drops  []*recorded
	frames []*frame
	open   int // drops that may still get candidates
}

// maxGroup bounds what waits for one decision. A chain that long is made of equal
// packets.
const maxGroup = 4096

func (g *group) root() *group {
	for g.into != nil {
		if g.into.into != nil {
			g.into = g.into.into
		}
		g = g.into
	}
	return g
}

// join makes one group of two.
func join(a, b *group) *group {
	a, b = a.root(), b.root()
	if a == b {
		return a
	}
	if len(a.drops)+len(a.frames) < len(b.drops)+len(b.frames) {
		a, b = b, a
	}
	a.drops, a.frames = append(a.drops, b.drops...), append(a.frames, b.frames...)
	a.open += b.open
	*b = group{into: a}
	return a
}

// decide finds the matches that nothing else can be: a drop with one candidate
// left has it, if no other drop has only that one too.
func (g *group) decide(match func(*frame, *recorded)) {
	for again := true; again; {
		again = false
		for _, d := range g.drops {
			if d.decided || d.unsure {
				continue
			}
			f := d.only()
			if f == nil || f.disputed(d) {
				continue
			}
			d.decided, d.matched, f.decided, f.matched = true, true, true, true
			match(f, d)
			again = true
		}
	}
}

// only returns the one candidate that is left.
func (d *recorded) only() (f *frame) {
	for _, c := range d.frames {
		switch {
		case c.decided:
		case f != nil:
			return nil
		default:
			f = c
		}
	}
	return f
}

// disputed reports whether another drop has no other candidate either.
func (f *frame) disputed(by *recorded) bool {
	return slices.ContainsFunc(f.drops, func(d *recorded) bool {
		return d != by && !d.decided && (d.unsure || d.only() == f)
	})
}

// left returns the drops that a packet may still be.
func (f *frame) left() (drops []*recorded) {
	for _, d := range f.drops {
		if !d.matched {
			drops = append(drops, d)
		}
	}
	return drops
}
