package live

import (
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/resolve"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/tracer"
)

// Symbols gives the tracer, which knows no names, the addresses it asks for.
func Symbols(t *symbol.Table) tracer.Symbols { return kernelSymbols{t} }

type kernelSymbols struct{ table *symbol.Table }

func (k kernelSymbols) Ranges(name string) [][2]uint64 {
	var out [][2]uint64
	for _, r := range k.table.Range(name) {
		out = append(out, [2]uint64{r.Start, r.End})
	}
	return out
}

func (k kernelSymbols) Entry(name string) (addr uint64, ok bool) { return k.table.Address(name) }

func (k kernelSymbols) Modules() (lo, hi uint64) {
	modules := k.table.Modules()
	if len(modules) == 0 {
		return 0, 0
	}
	return modules[0].Range.Start, modules[len(modules)-1].Range.End
}

func (k kernelSymbols) Text() (start, end uint64) {
	text := k.table.Text()
	return text.Start, text.End
}

// watcher is nil where the kernel hides which hook is whose: no table would be found.
func (t *Trace) watcher() resolve.Watcher {
	if t.symbols.Table().Len() == 0 {
		return nil
	}
	return xtWatcher{t.tracer}
}

// xtWatcher has the tracer watch a legacy table that the resolver read.
type xtWatcher struct{ tracer *tracer.Tracer }

func (w xtWatcher) Watch(do func(func() error) error, b *xtables.Blob) (resolve.Watched, error) {
	t := tracer.XTTable{
		Family: netfilter.IPv4, Name: b.ID.Name, ValidHooks: b.Info.ValidHooks,
		Size: b.Info.Size, Number: b.Info.Number,
	}
	if b.ID.Family == "ip6" {
		t.Family = netfilter.IPv6
	}
	for _, e := range b.Entries {
		if e.Drops() && e.Hooks != 0 {
			t.Drops = append(t.Drops, tracer.XTEntry{Offset: e.Offset, Hooks: e.Hooks})
		}
	}
	watched, err := w.tracer.Track(do, &t)
	if errors.Is(err, tracer.ErrTableChanged) {
		err = errors.Join(err, xtables.ErrChanging)
	}
	if err != nil {
		return nil, fmt.Errorf("iptables-legacy %s: %w", b.ID.Family, err)
	}
	return watched, nil
}
