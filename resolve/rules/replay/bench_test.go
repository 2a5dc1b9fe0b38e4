package replay

import (
	"fmt"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// longChain is what iptables -A INPUT -s A -p tcp -m tcp --dport P -j DROP makes
// of n addresses and ports; no packet of the benchmark matches one.
func longChain(n int) []*ruleset.Ruleset {
	var rules []statements
	for i := range n {
		address := is(ruleset.IPSource, uint64(0x0a000000|i/2))
		if i%2 == 0 {
			address = is(ruleset.IPSource, 0x0a000001) // the packet's
		}
		rules = append(rules, statements{
			address, is(ruleset.L4Protocol, 17),
			&ruleset.Header{Size: 8, Short: ruleset.ShortDrops},
			is(ruleset.DestinationPort, uint64(10000+i%50000)), say(ruleset.Drop),
		})
	}
	return []*ruleset.Ruleset{tableOf(baseOf("input", 0, "accept", rules...))}
}

func BenchmarkAt(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			f := New(longChain(n)...)
			p := udp(80)
			b.ReportAllocs()
			for b.Loop() {
				f.At(Hook{Family: "ip", Name: "input"}, p, nil, Options{})
			}
		})
	}
}

func BenchmarkAtUnknown(b *testing.B) {
	f := New(longChain(10000)...)
	p := udp(80)
	p.Bytes = p.Bytes[:20] // no ports: each rule may match
	b.ReportAllocs()
	for b.Loop() {
		f.At(Hook{Family: "ip", Name: "input"}, p, nil, Options{})
	}
}

func BenchmarkNew(b *testing.B) {
	rules := longChain(10000)
	b.ReportAllocs()
	for b.Loop() {
		New(rules...)
	}
}
