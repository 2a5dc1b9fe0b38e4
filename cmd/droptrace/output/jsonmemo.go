package output

import (
	"bytes"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// memoRules are the rules whose JSON is kept. Two that share a slot are only
// encoded again.
const memoRules = 64

// memo keeps what the drops of a flood have in common as it was encoded last.
// Only what is equal in every field is taken from it.
type memo struct {
	netns encoded[drop.Netns]
	rules [memoRules]encoded[drop.Rule]

	second int64 // of the stamp
	place  *time.Location
	stamp  []byte // to the second
	zone   []byte
}

type encoded[T comparable] struct {
	value T
	json  []byte // nil: nothing yet
}

func (m *memo) netnsOf(n *drop.Netns) []byte {
	if e := &m.netns; e.json == nil || e.value != *n {
		e.value, e.json = *n, appendNetns(e.json[:0], n)
	}
	return m.netns.json
}

func (m *memo) ruleOf(r *drop.Rule) []byte {
	e := &m.rules[(r.Handle*31+uint64(r.Number)+uint64(len(r.Chain)))%memoRules]
	if e.json == nil || e.value != *r {
		e.value, e.json = *r, appendRule(e.json[:0], r)
	}
	return e.json
}

// appendTime writes what time.Time.MarshalJSON does: RFC 3339 without the zeros
// that end a fraction.
func (m *memo) appendTime(dst []byte, t time.Time) []byte {
	if second := t.Unix(); m.stamp == nil || second != m.second || t.Location() != m.place {
		m.second, m.place = second, t.Location()
		m.stamp = t.AppendFormat(m.stamp[:0], `"2006-01-02T15:04:05`)
		m.zone = t.AppendFormat(m.zone[:0], `Z07:00"`)
	}
	dst = append(dst, m.stamp...)
	if n := t.Nanosecond(); n != 0 {
		var fraction [10]byte
		fraction[0] = '.'
		for i := 9; i > 0; i-- {
			fraction[i] = '0' + byte(n%10)
			n /= 10
		}
		dst = append(dst, bytes.TrimRight(fraction[:], "0")...)
	}
	return append(dst, m.zone...)
}
