package nftables

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// manySets is a chain of n rules with a set of their own each.
func manySets(n int) string {
	var b strings.Builder
	b.WriteString("table ip t {\n chain c {\n type filter hook input priority 0; policy accept;\n")
	for i := range n {
		fmt.Fprintf(&b, "ip saddr 10.%d.%d.%d tcp dport { %d, 80 } counter drop\n", i>>16, i>>8&255, i&255, i%65535+1000)
	}
	b.WriteString("}\n}\n")
	return b.String()
}

// largeSet is one rule with a set of n elements.
func largeSet(n int) string {
	var b strings.Builder
	b.WriteString("table ip t {\n set s {\n type ipv4_addr\n flags interval\n elements = { ")
	for i := range n {
		fmt.Fprintf(&b, "10.%d.%d.%d,", i>>15, i>>7&255, i<<1&255)
	}
	b.WriteString(" }\n }\n chain c {\n type filter hook input priority 0; policy accept;\nip saddr @s drop\n}\n}\n")
	return b.String()
}

func BenchmarkModel(b *testing.B) {
	for _, bench := range []struct {
		name    string
		program []string
		ruleset string
	}{
		{"rules=10000", []string{"nft", "-f", "-"}, manyRules(10_000)},
		{"rules=100000", []string{"nft", "-f", "-"}, manyRules(100_000)},
		{"iptables=10000", []string{"iptables-nft-restore"}, manyIPTables(10_000)},
		{"vmaps=10000", []string{"nft", "-f", "-"}, manyMaps(10_000)},
		{"sets=10000", []string{"nft", "-f", "-"}, manySets(10_000)},
		{"elements=100000", []string{"nft", "-f", "-"}, largeSet(100_000)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ns := newNamespace(b)
			ns.Run(b, bench.ruleset, bench.program[0], bench.program[1:]...)
			runtime.GC()
			b.ReportAllocs()
			var model *ruleset.Ruleset
			before := processorTime(b)
			for b.Loop() {
				model = ns.model(b)
			}
			b.StopTimer()
			b.ReportMetric(float64((processorTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			reportMemory(b, &model)
		})
	}
}

// processorTime is what this process took of the processors, kernel included: on
// a machine with other work it says more than the clock.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportMemory reports what the model takes, and what the heap grew to.
func reportMemory(b *testing.B, model **ruleset.Ruleset) {
	var with, without runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&with)
	runtime.KeepAlive(*model)
	*model = nil
	runtime.GC()
	runtime.ReadMemStats(&without)
	b.ReportMetric(float64(with.HeapAlloc-without.HeapAlloc)/1e6, "MB-kept")
	b.ReportMetric(float64(with.HeapSys)/1e6, "MB-heap")
}
