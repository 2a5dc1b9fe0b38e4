package symbol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Names before [Table] has sorted them: symbols in the order of the file.
type builder struct {
	addrs   []uint64
	offs    []uint32
	modules []uint16
	names   strings.Builder

	moduleNames []string
	moduleIndex map[string]uint16
	last        string // module of the line before: they come in runs
	lastIndex   uint16
	seen        int // text symbols, hidden ones included
}

// A kernel of 2026 has 60,000 to 200,000 text symbols of 25 bytes.
const (
	expectSymbols = 1 << 17
	expectNames   = 1 << 21
	maxNames      = 1<<31 - 1
)

// parse reads the text symbols out of a file like /proc/kallsyms. Lines that
// are not of its form are left out: another kernel may add its own.
func parse(r io.Reader) (*Table, error) {
	b := &builder{
		addrs:       make([]uint64, 0, expectSymbols),
		offs:        make([]uint32, 0, expectSymbols),
		modules:     make([]uint16, 0, expectSymbols),
		moduleNames: []string{""},
		moduleIndex: make(map[string]uint16),
	}
	b.names.Grow(expectNames)
	b.names.WriteByte(0)
	if err := b.read(r); err != nil {
		return nil, err
	}
	switch {
	case b.seen == 0:
		return nil, ErrNoSymbols
	case len(b.addrs) == 0:
		return nil, ErrHidden
	}
	return b.table(), nil
}

// read feeds every whole line to add. The buffer is no larger than what one
// read of a seq_file hands out needs: the whole file would be 5 to 15 MB.
func (b *builder) read(r io.Reader) error {
	buf := make([]byte, 1<<16)
	n := 0
	for {
		m, err := r.Read(buf[n:])
		n += m
		rest := buf[:n]
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			b.add(rest[:i])
			rest = rest[i+1:]
		}
		if len(rest) == len(buf) {
			rest = rest[:0] // a line of 64 KiB is no symbol
		}
		n = copy(buf, rest)
		if errors.Is(err, io.EOF) {
			b.add(buf[:n])
			return nil
		}
		if err != nil {
			return fmt.Errorf("read kernel symbols: %w", err)
		}
	}
}

// add takes one line: "ffffffff81000000 T name" and, for a module's symbol, a
// tab and "[module]".
func (b *builder) add(line []byte) {
	addr, line, ok := cutHex(line)
	if !ok || len(line) < 4 || line[0] != ' ' || line[2] != ' ' || !isText(line[1]) && !isTextBound(line[3:]) {
		return
	}
	name, module, _ := bytes.Cut(line[3:], []byte{'\t'})
	if len(name) == 0 || bytes.IndexByte(name, 0) >= 0 || isMarker(name) {
		return
	}
	b.seen++
	if addr == 0 || b.names.Len()+len(name) >= maxNames {
		return
	}
	b.addrs = append(b.addrs, addr)
	b.offs = append(b.offs, uint32(b.names.Len()))
	b.modules = append(b.modules, b.module(module))
	b.names.Write(name)
	b.names.WriteByte(0)
}

// module returns the number of a module, 0 for the kernel proper.
func (b *builder) module(field []byte) uint16 {
	field = bytes.TrimSuffix(bytes.TrimPrefix(field, []byte{'['}), []byte{']'})
	if string(field) == b.last {
		return b.lastIndex
	}
	name := string(field)
	i, ok := b.moduleIndex[name]
	if !ok && name != "" && len(b.moduleNames) < 1<<16 {
		i = uint16(len(b.moduleNames))
		b.moduleNames = append(b.moduleNames, name)
		b.moduleIndex[name] = i
	}
	b.last, b.lastIndex = name, i
	return i
}

// table puts the symbols in the order of their addresses, and their names with
// them, so that a place in names leads back to its symbol. The kernel's own are
// sorted already; modules follow in the order they were loaded.
func (b *builder) table() *Table {
	t := &Table{
		addrs:   slices.Clip(b.addrs),
		offs:    slices.Clip(b.offs),
		names:   b.names.String(),
		modules: b.moduleNames,
	}
	if !slices.IsSorted(b.addrs) {
		b.sort(t)
	}
	for i, m := range b.modules {
		if i == 0 || m != b.modules[i-1] {
			t.runs = append(t.runs, run{first: i, module: m})
		}
	}
	t.text = t.findText()
	return t
}

// sort is stable: of several names of one address the kernel's kallsyms takes
// the first, and so does Table.
func (b *builder) sort(t *Table) {
	order := make([]uint32, len(b.addrs))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortStableFunc(order, func(x, y uint32) int {
		switch ax, ay := b.addrs[x], b.addrs[y]; {
		case ax < ay:
			return -1
		case ax > ay:
			return 1
		}
		return 0
	})
	addrs := make([]uint64, len(order))
	offs := make([]uint32, len(order))
	modules := make([]uint16, len(order))
	var names strings.Builder
	names.Grow(len(t.names))
	names.WriteByte(0)
	for to, from := range order {
		addrs[to], modules[to] = b.addrs[from], b.modules[from]
		offs[to] = uint32(names.Len())
		names.WriteString(nameAt(t.names, b.offs[from]))
		names.WriteByte(0)
	}
	t.addrs, t.offs, t.names, b.modules = addrs, offs, names.String(), modules
}

// cutHex takes the hexadecimal number off the front of line.
func cutHex(line []byte) (v uint64, rest []byte, ok bool) {
	for i, c := range line {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return v, line[i:], i > 0
		}
		if v>>60 != 0 {
			return 0, nil, false
		}
		v = v<<4 | uint64(c)
	}
	return 0, nil, false
}

// isText tells functions by nm's letters: w and W are weak functions, weak
// data are v and V.
func isText(kind byte) bool {
	return kind == 't' || kind == 'T' || kind == 'w' || kind == 'W'
}

// isTextBound reports the ends of the kernel's code, which the linker may count among
// the data: on arm64 _etext is of type D.
func isTextBound(name []byte) bool { return string(name) == "_stext" || string(name) == "_etext" }

// isMarker reports symbols that name no function: the padding in front of one
// (__pfx_ since 6.2, __cfi_ with kernel CFI; half of all symbols) and arm's
// mapping symbols. Nothing returns there.
func isMarker(name []byte) bool {
	return name[0] == '$' || name[0] == '.' ||
		bytes.HasPrefix(name, []byte("__pfx_")) || bytes.HasPrefix(name, []byte("__cfi_"))
}
