package ruleset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func port(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }

func between(from, to []byte) Element { return Element{Range: Range{from, to}} }

func value(p uint16) Element { return between(port(p), port(p)) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestLookup(t *testing.T) {
	net := []byte{10, 1, 0, 0}
	last := []byte{10, 1, 255, 255}
	host := []byte{10, 1, 2, 3}
	nomatch := between(host, host)
	nomatch.NoMatch = true
	limited, brief := value(7), value(8)
	limited.Opaque = &Opaque{Kind: "limit"}
	brief.Expires = time.Second
	tests := []struct {
		name  string
		set   Set
		sizes []int
		value []byte
		want  Found
	}{
		{"value", Set{Complete: true, Elements: []Element{value(5)}}, []int{2}, port(5), IsFound},
		{"another value", Set{Complete: true, Elements: []Element{value(5)}}, []int{2}, port(6), NotFound},
		{"in an interval", Set{Complete: true, Elements: []Element{between(port(5), port(1000))}}, []int{2}, port(1000), IsFound},
		{"behind an interval", Set{Complete: true, Elements: []Element{between(port(5), port(1000))}}, []int{2}, port(1001), NotFound},
		{"between intervals", Set{Complete: true, Elements: []Element{between(port(5), port(7)), between(port(9), port(12))}}, []int{2}, port(8), NotFound},
		{"in a prefix", Set{Complete: true, Elements: []Element{between(net, last)}}, []int{4}, host, IsFound},
		{"nomatch inside a prefix", Set{Complete: true, Elements: []Element{between(net, last), nomatch}}, []int{4}, host, NotFound},
		{"catch-all", Set{Complete: true, Elements: []Element{{CatchAll: true}}}, []int{2}, port(1), IsFound},
		{"not read in whole", Set{Elements: []Element{value(5)}}, []int{2}, port(6), MaybeThere},
		{"dynamic", Set{Complete: true, Dynamic: true}, []int{2}, port(6), MaybeThere},
		{"found in a dynamic set", Set{Complete: true, Dynamic: true, Elements: []Element{value(6)}}, []int{2}, port(6), IsFound},
		{"element with a limit", Set{Complete: true, Elements: []Element{limited}}, []int{2}, port(7), MaybeThere},
		{"element about to go", Set{Complete: true, Elements: []Element{brief}}, []int{2}, port(8), MaybeThere},
		{"concatenation with a range", Set{Complete: true, Elements: []Element{between(join(host, port(5)), join(host, port(9)))}}, []int{4, 2}, join(host, port(7)), IsFound},
		{"each field has its range", Set{Complete: true, Elements: []Element{between(join([]byte{1, 0, 0, 0}, port(5)), join([]byte{3, 0, 0, 0}, port(9)))}}, []int{4, 2}, join([]byte{2, 0, 0, 0}, port(100)), NotFound},
		{"value of another length", Set{Complete: true, Elements: []Element{value(5)}}, []int{2}, []byte{5}, NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := NewIndex(&tt.set, tt.sizes).Lookup(tt.value); got != tt.want {
				t.Errorf("lookup says %d, want %d", got, tt.want)
			}
		})
	}
}

// TestLookupFindsWhatASearchFinds compares random sets with a look at each
// element.
func TestLookupFindsWhatASearchFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		sizes := [][]int{{2}, {1, 1}, {2, 1}, {1, 2, 1}}[r.IntN(4)]
		var elements []Element
		for range r.IntN(20) {
			var e Element
			for _, n := range sizes {
				from, to := randomRange(r, n)
				e.From, e.To = append(e.From, from...), append(e.To, to...)
			}
			elements = append(elements, e)
		}
		x := NewIndex(&Set{Complete: true, Elements: elements}, sizes)
		for range 200 {
			v := make([]byte, x.size)
			for i := range v {
				v[i] = byte(r.IntN(16))
			}
			want := NotFound
			for i := range elements {
				if x.holds(i, v) {
					want = IsFound
				}
			}
			if _, got := x.Lookup(v); got != want {
				t.Fatalf("round %d: %x in %v: %d, want %d", round, v, elements, got, want)
			}
		}
	}
}

func randomRange(r *rand.Rand, n int) (from, to []byte) {
	from, to = make([]byte, n), make([]byte, n)
	for i := range from {
		from[i] = byte(r.IntN(16))
	}
	copy(to, from)
	switch r.IntN(3) {
	case 0: // a prefix
		bits := byte(1)<<r.IntN(4) - 1
		from[n-1] &^= bits
		to[n-1] = from[n-1] | bits
	case 1:
		to[n-1] += byte(r.IntN(5))
		if r.IntN(2) == 0 {
			to[0] += byte(r.IntN(3))
		}
	}
	return from, to
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{100, 100000} {
		var hosts, intervals []Element
		for i := range n {
			v := binary.BigEndian.AppendUint32(nil, uint32(i*8))
			w := binary.BigEndian.AppendUint32(nil, uint32(i*8+4))
			hosts, intervals = append(hosts, between(v, v)), append(intervals, between(v, w))
		}
		for name, elements := range map[string][]Element{"values": hosts, "intervals": intervals} {
			x := NewIndex(&Set{Complete: true, Elements: elements}, []int{4})
			v := binary.BigEndian.AppendUint32(nil, uint32(n*4+6))
			b.Run(fmt.Sprintf("%s=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					x.Lookup(v)
				}
			})
		}
	}
}
