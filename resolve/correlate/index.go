package correlate

import (
	"bytes"
	"math/bits"
	"slices"
	"sort"
	"time"
)

// How much of a content is compared at once: packets that were cut are found by
// as much of them as both sides have.
const (
	minLevel   = 4              // 16 bytes
	maxLevel   = 9              // maxContent
	wholeLevel = maxLevel + 1   // all of the content
	levels     = wholeLevel + 1 // 0 is none of it
)

// level returns the most that can be compared of p's content.
func (p *identity) level() int {
	switch {
	case p.whole:
		return wholeLevel
	case len(p.content) < 1<<minLevel:
		return 0
	}
	return bits.Len(uint(len(p.content))) - 1
}

// at returns the content that is compared at a level.
func (p *identity) at(level int) []byte {
	switch level {
	case 0:
		return nil
	case wholeLevel:
		return p.content
	}
	return p.content[:1<<level]
}

// maxCandidates is how many drops a packet is compared with. More than that are
// told apart by nothing anyway.
const maxCandidates = 32

// disorder is how far drops of different CPUs may be out of order in a bucket: the
// time is read some way before the record's place in the ring is taken.
const disorder = int64(5 * time.Millisecond)

// bucket holds the drops of one hash, about in the order of time.
type bucket struct {
	drops []*recorded
	// crowded: between these times packets found too many drops here.
	crowdedFrom, crowdedTo int64
}

// index finds the drops that a packet may be.
type index struct {
	hash hasher
	// best holds each drop by as much content as it has.
	best  map[uint64]*bucket
	count [levels]int // drops in best, by their level
	// cut holds each drop by every smaller part of its content as well. It is
	// made when the capture's first packet was cut.
	cut map[uint64]*bucket
	// datagrams holds what may have been put together from fragments.
	datagrams map[uint64]*bucket
}

func (x *index) add(d *recorded) {
	level := d.id.level()
	x.count[level]++
	for i := range d.flows {
		f := &d.flows[i]
		d.refs = append(d.refs, ref{x.best, x.hash.of(&d.id, f, d.id.at(level), level)})
		if x.cut != nil {
			x.addCut(d, f)
		}
		const dontFragment = 0x4000
		if d.id.fixed.etherType == etherIPv4 && !d.id.fragment.is && d.id.fixed.fragment&dontFragment == 0 {
			d.refs = append(d.refs, ref{x.datagrams, x.hash.ofDatagram(f, d.id.fixed.id, d.id.fixed.protocol)})
		}
	}
	for _, r := range d.refs {
		r.insert(d)
	}
}

// addCut makes the references only; the caller inserts.
func (x *index) addCut(d *recorded, f *flow) {
	for level := 0; level <= maxLevel; level++ {
		if level > 0 && (level < minLevel || len(d.id.content) < 1<<level) {
			continue
		}
		d.refs = append(d.refs, ref{x.cut, x.hash.of(&d.id, f, d.id.at(level), level)})
	}
}

// wantCut is called before the first packet that was cut is looked for.
func (x *index) wantCut(known []*recorded) {
	if x.cut != nil {
		return
	}
	x.cut = make(map[uint64]*bucket)
	for _, d := range known {
		if d == nil || d.expired {
			continue
		}
		n := len(d.refs)
		for i := range d.flows {
			x.addCut(d, &d.flows[i])
		}
		for _, r := range d.refs[n:] {
			r.insert(d)
		}
	}
}

// ref is a drop's place in a map.
type ref struct {
	in   map[uint64]*bucket
	hash uint64
}

func (r ref) insert(d *recorded) {
	b := r.in[r.hash]
	if b == nil {
		b = new(bucket)
		r.in[r.hash] = b
	}
	if n := len(b.drops); n > 0 && b.drops[n-1] == d {
		return // the same flow by two ways
	}
	b.drops = append(b.drops, d)
}

// remove takes out a drop that no later packet can be.
func (x *index) remove(d *recorded) {
	x.count[d.id.level()]--
	for _, r := range d.refs {
		b := r.in[r.hash]
		if b == nil {
			continue
		}
		if b.drops[0] == d { // nearly always: the oldest goes first
			b.drops = b.drops[1:]
		} else if i := slices.Index(b.drops, d); i >= 0 {
			b.drops = slices.Delete(b.drops, i, i+1)
		}
		if len(b.drops) == 0 {
			delete(r.in, r.hash)
		}
	}
}

// crowded reports whether the drop's candidates were too many to be kept.
func (d *recorded) crowded(from, to int64) bool {
	for _, r := range d.refs {
		if b := r.in[r.hash]; b != nil && b.crowdedTo != 0 && b.crowdedTo >= from && b.crowdedFrom <= to {
			return true
		}
	}
	return false
}

// find appends the drops that the packet may be; more is true where there are too
// many.
func (x *index) find(p *identity, from, to int64, dst []*recorded) (found []*recorded, more bool) {
	top := p.level()
	look := func(in map[uint64]*bucket, level int) {
		b := in[x.hash.of(p, &p.flow, p.at(level), level)]
		if b == nil {
			return
		}
		start := sort.Search(len(b.drops), func(i int) bool { return b.drops[i].at >= from-disorder })
		for _, d := range b.drops[start:] {
			if d.at > to+disorder {
				break
			}
			if d.at < from || d.at > to || !d.fits(p) || slices.Contains(dst, d) {
				continue
			}
			if len(dst) == maxCandidates {
				more = true
				b.crowd(from, to)
				return
			}
			dst = append(dst, d)
		}
	}
	for level := range min(top, wholeLevel) {
		if x.count[level] > 0 && (level == 0 || level >= minLevel && len(p.content) >= 1<<level) {
			look(x.best, level)
		}
	}
	if top == wholeLevel {
		look(x.best, wholeLevel)
	} else {
		look(x.cut, top)
	}
	return dst, more
}

func (b *bucket) crowd(from, to int64) {
	if b.crowdedTo == 0 {
		b.crowdedFrom = from
	}
	b.crowdedFrom, b.crowdedTo = min(b.crowdedFrom, from), max(b.crowdedTo, to)
}

// fits compares what was hashed, and what no order can be made of.
func (d *recorded) fits(p *identity) bool {
	q := &d.id
	n := min(len(p.content), len(q.content))
	return p.fixed == q.fixed && p.ttl >= q.ttl &&
		(!p.isError || slices.Contains(d.inners, p.inner)) &&
		slices.Contains(d.flows, p.flow) && bytes.Equal(p.content[:n], q.content[:n])
}

// findDatagram finds the drops that a fragment may have been part of.
func (x *index) findDatagram(p *identity, from, to int64, dst []*recorded) []*recorded {
	addresses := p.flow
	addresses.sourcePort, addresses.destinationPort = 0, 0
	b := x.datagrams[x.hash.ofDatagram(&addresses, p.fragment.datagram, p.fragment.transport)]
	if b == nil {
		return dst
	}
	for _, d := range b.drops {
		if d.at >= from && d.at <= to && len(dst) < maxCandidates && int(d.id.fixed.length) > p.fragment.offset {
			dst = append(dst, d)
		}
	}
	return dst
}
