package tracer

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/droptrace/droptrace/resolve/host/symbol"
)

var errTaken = errors.New("taken away by a test")

// part is one thing that a kernel may not have.
type part struct {
	kind, name string
	helper     asm.BuiltinFunc
}

func (p part) String() string { return strings.ReplaceAll(p.kind+" "+p.name, "/", "_") }

// lessMachine is the running kernel without one part.
type lessMachine struct {
	runningMachine
	without part
	kernel  *btf.Spec // where the part is one of its types
	legacy  bool      // the part may matter to the programs for iptables-legacy
	asked   *asked
}

// asked is what a start asks a machine for, by kind and name.
type asked struct {
	mu    sync.Mutex // programs are loaded beside
	parts map[part]bool
}

func (a *asked) note(kind, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.parts[part{kind: kind, name: name}] = true
}

// isLegacyProgram reports those that the verifier needs as long for as for all the rest. In
// these tests nothing runs them.
func isLegacyProgram(name string) bool { return name == "xt_find" || name == "xt_baseline" }

type lessTypes struct {
	types
	kernel *btf.Spec
}

func (l lessTypes) Kernel() (*btf.Spec, error) { return l.kernel, nil }

func (m lessMachine) types(c *btf.Cache) types {
	switch {
	case m.kernel != nil:
		return lessTypes{c, m.kernel}
	case m.without.kind == "modules' types":
		kernel, _ := c.Kernel()
		return described{kernel: kernel}
	}
	return c
}

func (m lessMachine) is(kind, name string) bool {
	return m.without.kind == kind && m.without.name == name
}

func (m lessMachine) load(c *ebpf.CollectionSpec, o ebpf.CollectionOptions) (*ebpf.Collection, error) {
	for key, spec := range c.Maps {
		if m.is("map", key) && spec.Name != "absent" && o.MapReplacements[key] == nil {
			return nil, fmt.Errorf("map %s: %w", key, errTaken)
		}
	}
	for name, p := range c.Programs {
		m.asked.note("program", name)
		if m.is("program", name) || m.is("attribution", "") && strings.HasPrefix(name, "kfree_skb") && name != emitterPlain {
			return nil, fmt.Errorf("program %s: %w", name, errTaken)
		}
		for _, ins := range p.Instructions {
			if m.without.kind == "helper" && ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == m.without.helper {
				return nil, fmt.Errorf("program %s calls %v: %w", name, m.without.helper, errTaken)
			}
		}
	}
	for name, p := range c.Programs {
		if isLegacyProgram(name) && !m.legacy {
			p.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
		}
	}
	return m.runningMachine.load(c, o)
}

func (m lessMachine) createMap(spec *ebpf.MapSpec) (*ebpf.Map, error) {
	if m.is("map", spec.Name) {
		return nil, errTaken
	}
	return m.runningMachine.createMap(spec)
}

func (m lessMachine) helper(f asm.BuiltinFunc) error {
	if m.without.kind == "helper" && f == m.without.helper {
		return fmt.Errorf("%w: %w", errTaken, ebpf.ErrNotSupported)
	}
	return m.runningMachine.helper(f)
}

func (m lessMachine) attachTracing(p *ebpf.Program) (io.Closer, error) {
	if m.is("attaching", "fentry") && !strings.Contains(p.String(), "kfree_skb") {
		return nil, errTaken
	}
	return m.runningMachine.attachTracing(p)
}

func (m lessMachine) attachKprobe(function string, address, config uint64, p *ebpf.Program) (io.Closer, error) {
	if m.is("attaching", "kprobe") {
		return nil, errTaken
	}
	return m.runningMachine.attachKprobe(function, address, config, p)
}

// lessSymbols are the kernel's without one, or without any.
type lessSymbols struct {
	table   *symbol.Table
	without part
	asked   *asked
}

func (s lessSymbols) hides(name string) bool {
	if len(s.table.Range(name)) > 0 {
		s.asked.note("symbol", name)
	}
	return s.without.kind == "symbol" && (s.without.name == name || s.without.name == "every")
}

func (s lessSymbols) Ranges(name string) (out [][2]uint64) {
	if s.hides(name) {
		return nil
	}
	for _, r := range s.table.Range(name) {
		out = append(out, [2]uint64{r.Start, r.End})
	}
	if s.without == (part{kind: "room", name: "for functions"}) {
		return slices.Repeat(out, 30)
	}
	return out
}

func (s lessSymbols) Entry(name string) (uint64, bool) {
	if s.hides(name) {
		return 0, false
	}
	return s.table.Address(name)
}

func (s lessSymbols) Modules() (lo, hi uint64) {
	modules := s.table.Modules()
	if s.hides("(modules)") || len(modules) == 0 {
		return 0, 0
	}
	return modules[0].Range.Start, modules[len(modules)-1].Range.End
}

func (s lessSymbols) Text() (start, end uint64) {
	if s.hides("(text)") {
		return 0, 0
	}
	return s.table.Text().Start, s.table.Text().End
}
