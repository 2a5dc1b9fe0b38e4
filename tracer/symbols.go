package tracer

// Symbols finds kernel functions; resolve/host/symbol's table is one. Names are
// given without compilers' suffixes, and every variant (.isra.0, .part.0,
// .cold) counts.
type Symbols interface {
	// Ranges returns [start, end) of each function of that name, nil where the
	// kernel has none, or hides its addresses.
	Ranges(name string) [][2]uint64
	// Entry returns where the function of exactly that name begins, suffixes
	// included; ok is false where there is none, or several.
	Entry(name string) (addr uint64, ok bool)
	// Modules returns the lowest and highest address of modules' text, zeros
	// where none is loaded.
	Modules() (lo, hi uint64)
	// Text returns the kernel's own code, _stext to _etext.
	Text() (start, end uint64)
}
