package symbol

import (
	"slices"
	"strings"
)

// Module is a loaded module's code.
type Module struct {
	Name  string
	Range Range // its end is that of the last symbol's page
}

// Range returns where the functions of that name lie: several where static
// functions share it, and those that the compiler derived from it (.isra.0,
// .constprop.0, .part.0, .cold). It is sorted by address, and nil where there is
// none.
func (t *Table) Range(name string) []Range {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return nil
	}
	var ranges []Range
	key := "\x00" + name
	for at := 0; ; {
		i := strings.Index(t.names[at:], key)
		if i < 0 {
			break
		}
		at += i + 1
		if c := t.names[at+len(name)]; c != 0 && c != '.' {
			continue
		}
		if j, ok := slices.BinarySearch(t.offs, uint32(at)); ok {
			ranges = append(ranges, Range{t.addrs[j], t.end(j)})
		}
	}
	return ranges
}

// Modules returns the code of every loaded module, sorted by address. BPF
// programs and other generated code are none.
func (t *Table) Modules() []Module {
	var modules []Module
	seen := make(map[string]int)
	for i, r := range t.runs {
		name := t.modules[r.module]
		if name == "" || name == "bpf" || strings.HasPrefix(name, "__builtin__") {
			continue
		}
		last := len(t.addrs) - 1
		if i+1 < len(t.runs) {
			last = t.runs[i+1].first - 1
		}
		r := Range{t.addrs[r.first], t.end(last)}
		if j, ok := seen[name]; ok {
			modules[j].Range.End = r.End // something generated lies inside it
			continue
		}
		seen[name] = len(modules)
		modules = append(modules, Module{name, r})
	}
	return modules
}

// findText looks for the bounds that the linker script sets.
func (t *Table) findText() Range {
	start, _ := t.Address("_stext")
	end, _ := t.Address("_etext")
	if start == 0 || end <= start {
		return Range{}
	}
	return Range{start, end}
}

// Address returns where the symbol of exactly that name lies, what the compiler
// appended included; ok is false where there is none, or several.
func (t *Table) Address(name string) (addr uint64, ok bool) {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return 0, false
	}
	key := "\x00" + name + "\x00"
	i := strings.Index(t.names, key)
	if i < 0 || strings.Contains(t.names[i+1:], key) {
		return 0, false
	}
	j, ok := slices.BinarySearch(t.offs, uint32(i+1))
	if !ok {
		return 0, false
	}
	return t.addrs[j], true
}

// Base strips what the compiler appended to a function's name: the classes and
// explanations of this package go by the name in the source.
func Base(name string) string {
	base, _, _ := strings.Cut(name, ".")
	return base
}
