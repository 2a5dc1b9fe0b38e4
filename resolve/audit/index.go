package audit

import (
	"bytes"
	"slices"
	"strings"
)

// index finds, among the rules of a chain, those that may cover a rule, without
// comparing each with each.
//
// Rules are put into groups by their shape: the fields for which they want one
// value or one network, and of what prefix length. A ruleset has thousands of
// rules and few shapes. Inside a group the values make a key, and a rule that is
// covered has the same values, cut to the same lengths. What is left to compare
// (ranges, negations) are the rules under one key; where those are many and want
// a range of one field, they are sorted by it.
type index struct {
	dims   map[string]int // field keys to bits of a mask; past 63 they share the last
	groups map[string]*group
	order  []*group
}

type group struct {
	shape   []dimension
	mask    uint64
	buckets map[string]*bucket
}

// dimension is one field of a shape. Length is in bits; that of a whole byte set
// with one value is 8.
type dimension struct {
	key    string
	length int
}

// bucket holds conditions of one key in the chain's order.
type bucket struct {
	list []*condition
	// by is the field of which all of many want ranges; spans are these sorted
	// by From, last the highest To of all up to there.
	by    string
	spans []span
	last  [][]byte
}

type span struct {
	from, to []byte
	of       *condition
}

// manyInBucket is when a bucket is worth sorting.
const manyInBucket = 16

func newIndex(conditions []*condition) *index {
	x := &index{dims: make(map[string]int), groups: make(map[string]*group)}
	for _, c := range conditions {
		x.insert(c)
	}
	for _, g := range x.order {
		for _, b := range g.buckets {
			b.sort()
		}
	}
	return x
}

func (x *index) insert(c *condition) {
	var shape []dimension
	var values []string
	for i := range c.matches {
		if length, value, ok := c.matches[i].network(); ok {
			shape = append(shape, dimension{c.matches[i].key, length})
			values = append(values, value)
		}
	}
	order := make([]int, len(shape))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(shape[a].key, shape[b].key) })
	var name, key strings.Builder
	sorted := make([]dimension, len(shape))
	for i, from := range order {
		sorted[i] = shape[from]
		name.WriteString(sorted[i].key)
		name.WriteByte(byte(sorted[i].length))
		name.WriteByte(0)
		key.WriteString(values[from])
	}
	g := x.groups[name.String()]
	if g == nil {
		g = &group{shape: sorted, buckets: make(map[string]*bucket), mask: x.mask(c)}
		x.groups[name.String()] = g
		x.order = append(x.order, g)
	}
	g.mask &= x.mask(c)
	b := g.buckets[key.String()]
	if b == nil {
		b = &bucket{}
		g.buckets[key.String()] = b
	}
	b.list = append(b.list, c)
}

// mask has a bit for each field that a condition matches on.
func (x *index) mask(c *condition) uint64 {
	var mask uint64
	for i := range c.matches {
		n, ok := x.dims[c.matches[i].key]
		if !ok {
			n = min(len(x.dims), 63)
			x.dims[c.matches[i].key] = n
		}
		mask |= 1 << n
	}
	return mask
}

// network returns the value of a match that wants one value, or one network of
// addresses, as its first length bits.
func (v *values) network() (length int, value string, ok bool) {
	switch {
	case v.kind == byteValues:
		if n, one := v.single(); one {
			return 8, string([]byte{n}), true
		}
	case v.kind == rangeValues && len(v.ranges) == 1:
		r := v.ranges[0]
		length := commonPrefix(r.From, r.To)
		if length > 0 && length < 256 && isNetwork(r.From, r.To, length) {
			return length, string(r.From), true
		}
	}
	return 0, "", false
}

// single is the only value of a byte set.
func (v *values) single() (n byte, ok bool) {
	for i := range 256 {
		if v.bits[i>>6]&(1<<(i&63)) == 0 {
			continue
		}
		if ok {
			return 0, false
		}
		n, ok = byte(i), true
	}
	return n, ok
}

// commonPrefix counts the leading bits that a and b share.
func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a)*8 && (a[n/8]^b[n/8])&(0x80>>(n%8)) == 0 {
		n++
	}
	return n
}

func isNetwork(from, to []byte, length int) bool {
	low := hostBits(len(from), length)
	for i := range low {
		if from[i]&low[i] != 0 || to[i]|low[i] != to[i] {
			return false
		}
	}
	return true
}

// cut returns the value that a dimension of the index wants, where all values
// of the match agree in it.
func (v *values) cut(length int) (string, bool) {
	switch {
	case v.kind == byteValues && length == 8:
		n, ok := v.single()
		return string([]byte{n}), ok
	case v.kind == rangeValues && len(v.ranges) > 0:
		from, to := v.ranges[0].From, v.ranges[len(v.ranges)-1].To
		if length > len(from)*8 || commonPrefix(from, to) < length {
			return "", false
		}
		value := slices.Clone(from)
		for i, low := range hostBits(len(from), length) {
			value[i] &^= low
		}
		return string(value), true
	}
	return "", false
}

// candidates calls visit with conditions that may cover d, until it returns
// false.
func (x *index) candidates(d *condition, visit func(*condition) bool) {
	mask := x.mask(d)
	var key []byte
	for _, g := range x.order {
		if g.mask&^mask != 0 {
			continue
		}
		key = key[:0]
		if key, ok := g.key(key, d); ok {
			if b := g.buckets[string(key)]; b != nil && !b.visit(d, visit) {
				return
			}
		}
	}
}

// key of d in the group, false where nothing of the group can cover it.
func (g *group) key(dst []byte, d *condition) ([]byte, bool) {
	for _, dim := range g.shape {
		found := false
		for i := range d.matches {
			if d.matches[i].key != dim.key {
				continue
			}
			if value, ok := d.matches[i].cut(dim.length); ok {
				dst, found = append(dst, value...), true
				break
			}
		}
		if !found {
			return dst, false
		}
	}
	return dst, true
}

// sort prepares a bucket in which all want one range of a common field.
func (b *bucket) sort() {
	if len(b.list) < manyInBucket {
		return
	}
	for i := range b.list[0].matches {
		if b.sortBy(b.list[0].matches[i].key) {
			return
		}
	}
}

func (b *bucket) sortBy(key string) bool {
	spans := make([]span, 0, len(b.list))
	for _, c := range b.list {
		r := c.rangeOf(key)
		if r == nil {
			return false
		}
		spans = append(spans, span{r.ranges[0].From, r.ranges[0].To, c})
	}
	if bytes.Equal(spans[0].from, spans[len(spans)-1].from) && bytes.Equal(spans[0].to, spans[len(spans)-1].to) {
		return false // a field that does not tell them apart
	}
	slices.SortStableFunc(spans, func(a, b span) int { return bytes.Compare(a.from, b.from) })
	last := make([][]byte, len(spans))
	for i, s := range spans {
		last[i] = s.to
		if i > 0 && bytes.Compare(last[i-1], s.to) > 0 {
			last[i] = last[i-1]
		}
	}
	b.by, b.spans, b.last = key, spans, last
	return true
}

// rangeOf is the match on a field, nil where it is not exactly one range.
func (c *condition) rangeOf(key string) *values {
	for i := range c.matches {
		if m := &c.matches[i]; m.key == key && m.kind == rangeValues && len(m.ranges) == 1 {
			return m
		}
	}
	return nil
}

func (b *bucket) visit(d *condition, visit func(*condition) bool) bool {
	if b.by == "" {
		for _, c := range b.list {
			if c.index >= d.index {
				return true // the rest stands below
			}
			if !visit(c) {
				return false
			}
		}
		return true
	}
	var value []byte
	for i := range d.matches {
		if m := &d.matches[i]; m.key == b.by && m.kind == rangeValues && len(m.ranges) > 0 {
			value = m.ranges[0].From
		}
	}
	if value == nil {
		return true
	}
	at, _ := slices.BinarySearchFunc(b.spans, value, func(s span, v []byte) int {
		if bytes.Compare(s.from, v) <= 0 {
			return -1
		}
		return 1
	})
	for at--; at >= 0 && bytes.Compare(b.last[at], value) >= 0; at-- {
		if s := b.spans[at]; s.of.index < d.index && bytes.Compare(s.to, value) >= 0 && !visit(s.of) {
			return false
		}
	}
	return true
}
