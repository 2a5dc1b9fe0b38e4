package resolve

import (
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/event"
)

// maxNames bounds what is remembered of each kind; past it all of it is found anew.
const maxNames = 4096

// names remembers what is spelled again with each drop of a flood. What it gives
// out is shared by drops and never changes.
type names struct {
	table      *symbol.Table // that locations are of
	locations  map[uint64]location
	interfaces map[interfaceKey]*drop.Interface
}

// location is a place in the kernel's code.
type location struct {
	name     string // symbol+0xoffset
	function string // without what a compiler appends; "" where it is not known
}

// location spells a return address. One that no symbol covers is not remembered:
// its module may be known the next time.
func (r *Resolver) location(pc uint64) location {
	if t := r.Symbols.Table(); t != r.names.table {
		r.names.table, r.names.locations = t, nil
	}
	if l, ok := r.names.locations[pc]; ok {
		return l
	}
	l := location{name: r.Symbols.Name(pc)}
	function, _, ok := r.Symbols.Lookup(pc)
	if !ok {
		return l
	}
	l.function = symbol.Base(function)
	if r.Symbols.Table() == r.names.table {
		remember(&r.names.locations, pc, l)
	}
	return l
}

// freedAt is where the packet was freed: in the caller of a function that only frees
// for others.
func (r *Resolver) freedAt(e *event.Event) location {
	if e.Caller != 0 {
		return r.location(e.Caller)
	}
	return r.location(e.Location)
}

// interfaceKey is an interface as events have it.
type interfaceKey struct {
	index uint32
	name  [16]byte
}

func (r *Resolver) device(index uint32, name [16]byte) *drop.Interface {
	k := interfaceKey{index, name}
	if i := r.names.interfaces[k]; i != nil {
		return i
	}
	i := &drop.Interface{Index: index, Name: event.Text(name[:])}
	remember(&r.names.interfaces, k, i)
	return i
}

// placeKey is a rule, or with none a policy, in a chain that is reached from a
// hook. Rules and chains are of one reading of the ruleset, and never change.
type placeKey struct {
	chain *ruleset.Chain
	rule  *ruleset.Rule
	hook  string
	same  bool // the drop was of the very ruleset that was read
}

// described is a place with the words for it.
type described struct {
	rule *drop.Rule
	at   replay.Place
}

func remember[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil || len(*m) >= maxNames {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}
