package output

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droptrace/droptrace/resolve/drop"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func TestTextOfEveryKindOfDrop(t *testing.T) {
	for _, s := range []struct {
		name  string
		style Style
	}{
		{"40", Style{Width: 40}},
		{"80", Style{Width: 80}},
		{"200", Style{Width: 200}},
		{"pipe", Style{}},
		{"ascii", Style{Width: 80, ASCII: true}},
		{"color", Style{Width: 80, Color: true}},
	} {
		t.Run(s.name, func(t *testing.T) {
			var b bytes.Buffer
			for _, d := range samples() {
				fmt.Fprintf(&b, "# %s\n", d.name)
				text := NewText(&b, s.style, time.UTC)
				if err := text.Drop(&d.drop); err != nil {
					t.Fatal(err)
				}
				if err := text.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			golden(t, "text-"+s.name+".txt", b.Bytes())
		})
	}
}

func TestLinesFitTheTerminal(t *testing.T) {
	for _, columns := range []int{20, 40, 60, 80, 120} {
		var b bytes.Buffer
		for _, d := range samples() {
			text := NewText(&b, Style{Width: columns}, time.UTC)
			text.Drop(&d.drop)
			text.Flush()
		}
		for l := range strings.Lines(b.String()) {
			l = strings.TrimSuffix(l, "\n")
			// Only a single word may stand out: to break it helps nobody.
			if width(l) > columns && strings.ContainsAny(strings.TrimSpace(l), " ") && columns >= 40 {
				t.Errorf("width %d: %q has %d columns", columns, l, width(l))
			}
		}
	}
}

func TestRuleAndWhyAreToldOnce(t *testing.T) {
	var b bytes.Buffer
	text := NewText(&b, Style{}, time.UTC)
	why := samples()[1].drop
	text.Drop(&why)
	text.Drop(&why)
	other := why
	other.In = device(3, "eth1") // the same rule in other circumstances
	text.Drop(&other)
	probable := samples()[5].drop
	text.Drop(&probable)
	text.Drop(&probable)
	text.Flush()
	golden(t, "told-once.txt", b.Bytes())
}

func TestEachServiceHasItsWhy(t *testing.T) {
	var b bytes.Buffer
	text := NewText(&b, Style{}, time.UTC)
	for _, icmp := range []uint8{143, 128, 143} {
		d := ruleDrop()
		d.Packet.Protocol, d.Packet.SourcePort, d.Packet.DestinationPort = "icmpv6", nil, nil
		d.Packet.ICMPType = &icmp
		d.Why = []drop.Why{{Code: "x", Message: fmt.Sprint("type ", icmp)}}
		text.Drop(&d)
	}
	text.Flush()
	for _, want := range []string{"type 143", "type 128"} {
		if n := bytes.Count(b.Bytes(), []byte(want)); n != 1 {
			t.Errorf("%q is told %d times:\n%s", want, n, b.Bytes())
		}
	}
}

func TestFoldedText(t *testing.T) {
	var b bytes.Buffer
	text := NewText(&b, Style{}, time.UTC)
	first, second := ruleDrop(), samples()[12].drop
	later := first.Time.Add(time.Second)
	fold := func(f Folded, want uint64) {
		t.Helper()
		f.Last = later
		if shown, err := text.Folded(f); err != nil || shown != want {
			t.Errorf("shown %d, %v, want %d", shown, err, want)
		}
	}
	text.Drop(&first)
	fold(Folded{Scope: ScopeFlow, Count: 1204, Drop: &first, Shown: true}, 0)
	fold(Folded{Scope: ScopeFlow, Count: 3, Drop: &second}, 1)
	fold(Folded{Scope: ScopeFlow, Count: 1, Drop: &second}, 1)
	fold(Folded{Scope: ScopeFlow, Count: 7, Drop: &first, Shown: true}, 0)
	fold(Folded{Scope: ScopeRule, Count: 900, Drop: &first}, 0)
	fold(Folded{Scope: ScopeRule, Count: 900, Drop: &second}, 0)
	fold(Folded{Scope: ScopeAll, Count: 5000, Drop: &second}, 0)
	text.Loss(Loss{Lost: 1})
	text.Loss(Loss{Lost: 1204})
	text.Flush()
	golden(t, "folded.txt", b.Bytes())
}

func TestToldIsBounded(t *testing.T) {
	text := NewText(io.Discard, Style{}, time.UTC)
	for i := range 3 * maxTold {
		d := ruleDrop()
		r := *d.Rule
		r.Number = i
		d.Rule = &r
		d.Why = []drop.Why{{Code: "x", Message: fmt.Sprint(i)}}
		text.Drop(&d)
	}
	if n := len(text.told.rules) + len(text.told.facts) + len(text.told.why); n > maxTold+3 {
		t.Errorf("remembers %d things as told", n)
	}
}

func BenchmarkText(b *testing.B) {
	all := samples()
	text := NewText(io.Discard, Style{Width: 80, Color: true}, time.UTC)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		text.Drop(&all[i%len(all)].drop)
	}
}

func BenchmarkTextSameRule(b *testing.B) {
	d := ruleDrop()
	text := NewText(io.Discard, Style{}, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		text.Drop(&d)
	}
}
