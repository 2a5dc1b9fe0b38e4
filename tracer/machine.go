package tracer

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
)

// machine is the running kernel, as far as it may refuse something. Tests have one
// that refuses a part.
type machine interface {
	// types returns what the kernel and its modules say of themselves.
	types(*btf.Cache) types
	// load creates maps and loads programs.
	load(*ebpf.CollectionSpec, ebpf.CollectionOptions) (*ebpf.Collection, error)
	// createMap creates one map.
	createMap(*ebpf.MapSpec) (*ebpf.Map, error)
	// helper returns nil where tracing programs have the helper, and
	// [ebpf.ErrNotSupported] where they have not.
	helper(asm.BuiltinFunc) error
	attachTracing(*ebpf.Program) (io.Closer, error)
	// attachKprobe attaches to the function's entry, config 0, or its return, by its
	// address where that is known (not 0).
	attachKprobe(function string, address, config uint64, prog *ebpf.Program) (io.Closer, error)
}

// runningMachine refuses nothing that the kernel does not.
type runningMachine struct{}

func (runningMachine) types(c *btf.Cache) types { return c }

func (runningMachine) load(c *ebpf.CollectionSpec, o ebpf.CollectionOptions) (*ebpf.Collection, error) {
	return ebpf.NewCollectionWithOptions(c, o)
}

func (runningMachine) createMap(m *ebpf.MapSpec) (*ebpf.Map, error) { return ebpf.NewMap(m) }

func (runningMachine) helper(f asm.BuiltinFunc) error {
	// Helpers are the same for all tracing types; cilium/ebpf probes not all of them.
	return features.HaveProgramHelper(ebpf.RawTracepoint, f)
}

func (runningMachine) attachTracing(p *ebpf.Program) (io.Closer, error) {
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	return l, nil
}

// Before 6.2 the kernel looks for a name by unpacking every symbol it has, for 50
// probes longer than all else that is to be done.
func (runningMachine) attachKprobe(function string, address, config uint64, prog *ebpf.Program) (io.Closer, error) {
	switch {
	case address != 0:
		return kprobeAt(address, config, prog)
	case config == isReturn:
		return link.Kretprobe(function, prog, nil)
	}
	return link.Kprobe(function, prog, nil)
}
