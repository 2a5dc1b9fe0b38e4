package symbol

import (
	"bufio"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// load reads this machine's symbols, or skips where it hides them.
func load(tb testing.TB) *Table {
	tb.Helper()
	table, err := Load()
	if errors.Is(err, ErrHidden) || errors.Is(err, ErrNoSymbols) || errors.Is(err, os.ErrNotExist) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return table
}

// Every text symbol of /proc/kallsyms, read the slow way, is found by address
// and by name.
func TestLoadKnowsWhatTheKernelSays(t *testing.T) {
	table := load(t)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first := make(map[uint64]string)
	checked := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 3 || !strings.Contains("tTwW", fields[1]) || isMarker([]byte(fields[2])) {
			continue // modules and BPF programs may have changed since
		}
		addr, err := strconv.ParseUint(fields[0], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := first[addr]; !ok {
			first[addr] = fields[2]
		}
		if got, ok := table.Entry(addr); !ok || got != first[addr] {
			t.Fatalf("Entry(%#x) = %q, %v, want %q", addr, got, ok, first[addr])
		}
		if checked++; checked%97 == 0 && !startsAt(table.Range(fields[2]), addr) {
			t.Fatalf("Range(%q) = %#x lacks %#x", fields[2], table.Range(fields[2]), addr)
		}
	}
	if checked < 10000 {
		t.Errorf("only %d symbols", checked)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func startsAt(ranges []Range, addr uint64) bool {
	for _, r := range ranges {
		if r.Start == addr && r.End > addr {
			return true
		}
	}
	return false
}

func TestLoadFindsNetfilter(t *testing.T) {
	table := load(t)
	ranges := table.Range("nf_hook_slow")
	if len(ranges) != 1 {
		t.Skipf("nf_hook_slow: %d ranges", len(ranges))
	}
	if got := table.Name(ranges[0].Start + 0x5c); got != "nf_hook_slow+0x5c" {
		t.Errorf("Name = %s", got)
	}
	if !table.Text().Contains(ranges[0].Start) {
		t.Errorf("nf_hook_slow at %#x lies outside the text %#x", ranges[0].Start, table.Text())
	}
}

func TestLoadIsSmall(t *testing.T) {
	load(t) // warm up
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := load(t)
	runtime.GC()
	runtime.ReadMemStats(&after)
	size := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d symbols, %d KiB", table.Len(), size>>10)
	if size > 8<<20 {
		t.Errorf("table of %d symbols holds %d KiB", table.Len(), size>>10)
	}
	runtime.KeepAlive(table)
}

func BenchmarkLoad(b *testing.B) {
	load(b)
	b.ReportAllocs()
	for b.Loop() {
		load(b)
	}
}

// What reading the file costs with nothing done with it: the kernel's share.
func BenchmarkReadOnly(b *testing.B) {
	buf := make([]byte, 1<<16)
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Skip(err)
		}
		for {
			if _, err := f.Read(buf); err != nil {
				break
			}
		}
		f.Close()
	}
}

func BenchmarkLookup(b *testing.B) {
	table := load(b)
	text := table.Text()
	pc := text.Start
	b.ReportAllocs()
	for b.Loop() {
		pc += 0x10007
		if !text.Contains(pc) {
			pc = text.Start + pc%4096
		}
		table.Lookup(pc)
	}
}

func BenchmarkRange(b *testing.B) {
	table := load(b)
	for b.Loop() {
		table.Range("nft_do_chain")
	}
}
