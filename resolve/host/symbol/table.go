package symbol

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

const path = "/proc/kallsyms"

// ErrHidden is returned where the kernel shows zeroes instead of addresses.
// It does so without CAP_SYSLOG while kernel.kptr_restrict is 1, and to everyone
// while it is 2.
var ErrHidden = errors.New("kernel addresses are hidden")

// ErrNoSymbols is returned where there is no symbol at all to read.
var ErrNoSymbols = errors.New("no kernel symbols (CONFIG_KALLSYMS is off, or /proc is not the kernel's)")

// Range is a stretch of kernel addresses; End is the first one past it.
type Range struct {
	Start, End uint64
}

// Contains reports whether addr lies in r.
func (r Range) Contains(addr uint64) bool {
	return r.Start <= addr && addr < r.End
}

// Table holds the kernel's text symbols, those of loaded modules included, as
// they stood when it was read. It never changes and may be shared.
type Table struct {
	addrs   []uint64 // sorted
	offs    []uint32 // of each one's name in names, sorted too
	names   string   // every name between NULs
	runs    []run    // which module from which symbol on
	modules []string // by number; 0 is the kernel proper
	text    Range
}

// run says that the symbols from first on are one module's.
type run struct {
	first  int
	module uint16
}

// Load reads /proc/kallsyms. The error is ErrHidden, ErrNoSymbols or one from
// reading the file.
func Load() (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read kernel symbols: %w", err)
	}
	defer f.Close()
	return parse(f)
}

// Len returns how many symbols t holds.
func (t *Table) Len() int { return len(t.addrs) }

// Text returns the kernel's own code, _stext to _etext, without modules and
// without code that is thrown away after boot. It is empty on a kernel that
// does not name them.
func (t *Table) Text() Range { return t.text }

// Lookup names the function that holds the call that returns to pc, and how far
// into it pc lies. A return address can lie just past the function, where the
// call is its last instruction, so the function is the one that holds pc-1; the
// offset is pc's own, as the kernel prints it.
//
// One location is no return address: net_tx_action (net/core/dev.c, 5.10 to 7.2)
// gives the tracepoint its own address.
//
// ok is false where no known symbol covers pc.
func (t *Table) Lookup(pc uint64) (name string, offset uint64, ok bool) {
	if name, ok := t.Entry(pc); ok && name == "net_tx_action" {
		return name, 0, true
	}
	if pc == 0 {
		return "", 0, false
	}
	i, ok := t.find(pc - 1)
	if !ok {
		return "", 0, false
	}
	return t.name(i), pc - t.addrs[i], true
}

// Name spells a return address as "nf_hook_slow+0x5c", or as a number where no
// known symbol covers it.
func (t *Table) Name(pc uint64) string {
	name, offset, ok := t.Lookup(pc)
	if !ok {
		return "0x" + strconv.FormatUint(pc, 16)
	}
	return name + "+0x" + strconv.FormatUint(offset, 16)
}

// Entry names the function that begins at addr, for pointers to functions. Of
// several names it takes the first that the kernel lists.
func (t *Table) Entry(addr uint64) (name string, ok bool) {
	i, ok := slices.BinarySearch(t.addrs, addr)
	if !ok {
		return "", false
	}
	return t.name(i), true
}

// Module names the module that holds addr. It is "" for the kernel proper and
// where no symbol covers addr, "bpf" for a BPF program.
func (t *Table) Module(addr uint64) string {
	i, ok := t.find(addr)
	if !ok {
		return ""
	}
	return t.modules[t.runs[t.runOf(i)].module]
}

// find returns the symbol that covers addr.
func (t *Table) find(addr uint64) (int, bool) {
	i, exact := slices.BinarySearch(t.addrs, addr)
	if !exact {
		i--
	}
	if i < 0 {
		return 0, false
	}
	// The first of several names of one address.
	for i > 0 && t.addrs[i-1] == t.addrs[i] {
		i--
	}
	return i, addr < t.end(i) && t.addrs[i] != t.text.End
}

// end returns where symbol i ends at the latest. Symbols have no sizes in
// /proc/kallsyms. A module's last one may be followed by a module that is not in
// the table yet, but modules do not share pages.
func (t *Table) end(i int) uint64 {
	const page = 4096
	j := i + 1
	for j < len(t.addrs) && t.addrs[j] == t.addrs[i] {
		j++
	}
	limit := (t.addrs[i]/page + 1) * page
	if j == len(t.addrs) {
		return limit
	}
	if t.runOf(i) != t.runOf(j) {
		return min(limit, t.addrs[j])
	}
	return t.addrs[j]
}

func (t *Table) runOf(i int) int {
	j, ok := slices.BinarySearchFunc(t.runs, i, func(r run, i int) int { return r.first - i })
	if !ok {
		j--
	}
	return j
}

func (t *Table) name(i int) string { return nameAt(t.names, t.offs[i]) }

func nameAt(names string, off uint32) string {
	names = names[off:]
	if i := strings.IndexByte(names, 0); i >= 0 {
		return names[:i]
	}
	return names
}
