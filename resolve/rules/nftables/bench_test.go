package nftables

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// manyRules is a chain of n rules as people have them.
func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("table ip t {\n chain c {\n type filter hook input priority 0; policy accept;\n")
	for i := range n {
		fmt.Fprintf(&b, "ip saddr 10.%d.%d.%d tcp dport %d counter drop comment \"rule %d\"\n", i>>16, i>>8&255, i&255, i%65535+1, i)
	}
	b.WriteString("}\n}\n")
	return b.String()
}

// manyMaps is a chain of n rules with a verdict map each, and a chain each that
// it leads to: what kube-proxy writes for n services.
func manyMaps(n int) string {
	var b strings.Builder
	b.WriteString("table ip t {\n")
	for i := range n {
		fmt.Fprintf(&b, "chain s%d {\ncounter drop\n}\n", i)
	}
	b.WriteString("chain c {\n type filter hook input priority 0; policy accept;\n")
	for i := range n {
		fmt.Fprintf(&b, "ip daddr 10.%d.%d.%d tcp dport vmap { 80 : goto s%d, 443 : goto s%d }\n", i>>16, i>>8&255, i&255, i, i)
	}
	b.WriteString("}\n}\n")
	return b.String()
}

func manyIPTables(n int) string {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	for i := range n {
		fmt.Fprintf(&b, "-A INPUT -s 10.%d.%d.%d/32 -p tcp -m conntrack --ctstate NEW -m tcp --dport %d -m comment --comment \"rule %d\" -j DROP\n", i>>16, i>>8&255, i&255, i%65535+1, i)
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

func BenchmarkRead(b *testing.B) {
	for _, bench := range []struct {
		name    string
		program []string
		ruleset string
	}{
		{"rules=10000", []string{"nft", "-f", "-"}, manyRules(10_000)},
		{"rules=100000", []string{"nft", "-f", "-"}, manyRules(100_000)},
		{"iptables=10000", []string{"iptables-nft-restore"}, manyIPTables(10_000)},
		{"vmaps=10000", []string{"nft", "-f", "-"}, manyMaps(10_000)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ns := newNamespace(b)
			ns.Run(b, bench.ruleset, bench.program[0], bench.program[1:]...)
			runtime.GC()
			b.ReportAllocs()
			var s *Snapshot
			for b.Loop() {
				s = ns.read(b)
			}
			b.StopTimer()
			var with, without runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&with)
			runtime.KeepAlive(s)
			s = nil
			runtime.GC()
			runtime.ReadMemStats(&without)
			b.ReportMetric(float64(with.HeapAlloc-without.HeapAlloc)/1e6, "MB-kept")
			b.ReportMetric(float64(with.HeapSys)/1e6, "MB-heap")
		})
	}
}

func BenchmarkTexts(b *testing.B) {
	for _, bench := range []struct {
		name    string
		program []string
		ruleset string
		chain   [2]string
	}{
		{"nft=10000", []string{"nft", "-f", "-"}, manyRules(10_000), [2]string{"t", "c"}},
		{"iptables=10000", []string{"iptables-nft-restore"}, manyIPTables(10_000), [2]string{"filter", "INPUT"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ns := newNamespace(b)
			ns.Run(b, bench.ruleset, bench.program[0], bench.program[1:]...)
			s := ns.read(b)
			c := s.chainNamed(b, "ip", bench.chain[0], bench.chain[1])
			b.ReportAllocs()
			for b.Loop() {
				clear(s.texts.byChain)
				if _, err := s.Texts(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTextKnown(b *testing.B) {
	ns := newNamespace(b)
	ns.nft(b, manyRules(1000))
	s := ns.read(b)
	r := s.chainNamed(b, "ip", "t", "c").Rules[500]
	for b.Loop() {
		if _, err := s.Text(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCandidates(b *testing.B) {
	ns := newNamespace(b)
	ns.nft(b, manyRules(10_000))
	s := ns.read(b)
	handle := s.chainNamed(b, "ip", "t", "c").Rules[5000].Handle
	for b.Loop() {
		if len(s.Candidates(Hook{Family: "ip", Name: "input"}, handle)) != 1 {
			b.Fatal("not one candidate")
		}
	}
}
