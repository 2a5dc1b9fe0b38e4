package symbol

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const small = `ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000000 D data_is_left_out
0000000000001000 A absolute_is_left_out
ffffffff810000f0 t __pfx_first
ffffffff81000100 t first
ffffffff81000200 T second
ffffffff81000200 W second_alias
ffffffff81000300 t dup
ffffffff81000400 t dup.isra.0
ffffffff81000500 t dup.constprop.0.cold
ffffffff81000600 t duplicate
ffffffff81000700 t dup
ffffffff81000800 T net_tx_action
ffffffff81000900 T _etext
ffffffff83000000 T _sinittext
ffffffffc0002000 t late	[nft]
ffffffffc0002100 t late_last	[nft]
ffffffffc0001000 t early	[tun]
ffffffffc0002080 t bpf_prog_0123_x	[bpf]
`

func parseSmall(t *testing.T) *Table {
	t.Helper()
	table, err := parse(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestNameOfReturnAddress(t *testing.T) {
	table := parseSmall(t)
	tests := []struct {
		name string
		pc   uint64
		want string
	}{
		{"inside a function", 0xffffffff8100015c, "first+0x5c"},
		{"just past it, after a call that ends it", 0xffffffff81000200, "first+0x100"},
		{"the function that passes its own address", 0xffffffff81000800, "net_tx_action+0x0"},
		{"the first name of an address wins", 0xffffffff81000210, "second+0x10"},
		{"padding belongs to the function before it", 0xffffffff810000f8, "_stext+0xf8"},
		{"the last of the kernel", 0xffffffff810008ff, "net_tx_action+0xff"},
		{"read-only data behind the code", 0xffffffff81000a00, "0xffffffff81000a00"},
		{"below everything", 0x10, "0x10"},
		{"nothing", 0, "0x0"},
		{"a module loaded first but placed later", 0xffffffffc0001004, "early+0x4"},
		{"past the page of a module's last symbol", 0xffffffffc0003004, "0xffffffffc0003004"},
		{"a BPF program amid a module", 0xffffffffc0002084, "bpf_prog_0123_x+0x4"},
		{"the module again", 0xffffffffc0002104, "late_last+0x4"},
		{"the highest address", 1<<64 - 1, "0xffffffffffffffff"},
	}
	for _, tt := range tests {
		if got := table.Name(tt.pc); got != tt.want {
			t.Errorf("%s: Name(%#x) = %s, want %s", tt.name, tt.pc, got, tt.want)
		}
	}
}

func TestEntryIsExact(t *testing.T) {
	table := parseSmall(t)
	if name, ok := table.Entry(0xffffffff81000200); !ok || name != "second" {
		t.Errorf("Entry of second = %q, %v", name, ok)
	}
	if name, ok := table.Entry(0xffffffff81000201); ok {
		t.Errorf("Entry inside second = %q", name)
	}
}

func TestAddressIsOfOneFunction(t *testing.T) {
	table := parseSmall(t)
	for name, want := range map[string]uint64{
		"duplicate":    0xffffffff81000600,
		"second_alias": 0xffffffff81000200,
		"early":        0xffffffffc0001000,
		"dup":          0, // several
		"du":           0,
		"":             0,
		"a\x00b":       0,
	} {
		if got, ok := table.Address(name); got != want || ok != (want != 0) {
			t.Errorf("Address(%q) = %#x, %v; want %#x", name, got, ok, want)
		}
	}
}

func TestRangeCoversVariants(t *testing.T) {
	table := parseSmall(t)
	tests := []struct {
		name string
		want []Range
	}{
		{"dup", []Range{
			{0xffffffff81000300, 0xffffffff81000400},
			{0xffffffff81000400, 0xffffffff81000500},
			{0xffffffff81000500, 0xffffffff81000600},
			{0xffffffff81000700, 0xffffffff81000800},
		}},
		{"duplicate", []Range{{0xffffffff81000600, 0xffffffff81000700}}},
		{"second_alias", []Range{{0xffffffff81000200, 0xffffffff81000300}}},
		{"early", []Range{{0xffffffffc0001000, 0xffffffffc0002000}}},
		{"du", nil},
		{"", nil},
		{"a\x00b", nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, table.Range(tt.name)); diff != "" {
			t.Errorf("Range(%q) (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestTextAndModules(t *testing.T) {
	table := parseSmall(t)
	if got, want := table.Text(), (Range{0xffffffff81000000, 0xffffffff81000900}); got != want {
		t.Errorf("Text() = %#x, want %#x", got, want)
	}
	want := []Module{
		{"tun", Range{0xffffffffc0001000, 0xffffffffc0002000}},
		{"nft", Range{0xffffffffc0002000, 0xffffffffc0003000}},
	}
	if diff := cmp.Diff(want, table.Modules()); diff != "" {
		t.Errorf("Modules() (-want +got):\n%s", diff)
	}
	for addr, want := range map[uint64]string{
		0xffffffffc0001004: "tun", 0xffffffffc0002084: "bpf", 0xffffffffc0002104: "nft",
		0xffffffff81000100: "", 0x10: "",
	} {
		if got := table.Module(addr); got != want {
			t.Errorf("Module(%#x) = %q, want %q", addr, got, want)
		}
	}
}

func TestTheEndOfTextMayBeData(t *testing.T) {
	const arm = "ffff800080010000 T _stext\nffff800080010100 t first\nffff800080de0000 D _etext\nffff800080de0000 D data\n"
	table, err := parse(strings.NewReader(arm))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := table.Text(), (Range{0xffff800080010000, 0xffff800080de0000}); got != want {
		t.Errorf("Text() = %#x, want %#x", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name, file string
		want       error
	}{
		{"kptr_restrict", "0000000000000000 T _stext\n0000000000000000 t first\n", ErrHidden},
		{"empty", "", ErrNoSymbols},
		{"no text", "ffffffff81000000 D data\n", ErrNoSymbols},
		{"not kallsyms", "hello\nworld\n", ErrNoSymbols},
	}
	for _, tt := range tests {
		if _, err := parse(strings.NewReader(tt.file)); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
	}
	failed := errors.New("failed")
	if _, err := parse(failingReader{failed}); !errors.Is(err, failed) {
		t.Errorf("reader's error is lost: %v", err)
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestParseSkipsWhatIsNoSymbol(t *testing.T) {
	file := "\n \nzz T x\n11112222333344445 T too_long\nffffffff81000000 T\nffffffff81000000 Tx\n" +
		strings.Repeat("x", 1<<17) + "\nffffffff81000000 t kept\nffffffff81000010 t last_without_newline"
	table, err := parse(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if table.Len() != 2 || table.Name(0xffffffff81000018) != "last_without_newline+0x8" {
		t.Errorf("%d symbols, %s", table.Len(), table.Name(0xffffffff81000018))
	}
}

func TestBase(t *testing.T) {
	for name, want := range map[string]string{
		"ip_rcv_core":                          "ip_rcv_core",
		"ip_rcv_finish_core.constprop.0":       "ip_rcv_finish_core",
		"napi_gro_complete.constprop.0.isra.0": "napi_gro_complete",
		"":                                     "",
	} {
		if got := Base(name); got != want {
			t.Errorf("Base(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("0 t a\t[\n1 t a\t]\nffffffffffffffff t z\t[m]\nfffffffffffffffe w y"))
	f.Fuzz(func(t *testing.T, file []byte) {
		table, err := parse(strings.NewReader(string(file)))
		if err != nil {
			return
		}
		for i, addr := range table.addrs {
			if i > 0 && addr < table.addrs[i-1] {
				t.Fatal("not sorted")
			}
			name := table.name(i)
			found := false
			for _, r := range table.Range(name) {
				found = found || r.Start == addr
			}
			if !found {
				t.Fatalf("Range(%q) lacks its own %#x", name, addr)
			}
			for _, pc := range []uint64{addr - 1, addr, addr + 1} {
				if _, offset, ok := table.Lookup(pc); ok && offset > pc {
					t.Fatalf("Lookup(%#x) has offset %#x", pc, offset)
				}
				table.Module(pc)
				table.Entry(pc)
			}
		}
		table.Modules()
	})
}
