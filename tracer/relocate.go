package tracer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// relocate writes the running kernel's offsets into programs (CO-RE).
//
// The library does it too when it loads them, but compares each type with all of that
// name in the kernel and in every module, and refuses the program where two differ:
// one module with a struct of a common name is enough. Here the kernel's own type
// counts, else that of the netfilter module which owns it. A type whose definitions
// differ in what is read is treated as one that is missing: bpf_core_field_exists is
// false, other reads become an instruction that the verifier refuses where it can be
// reached. doubt names such types; the programs are usable all the same.
func relocate(programs map[string]*ebpf.ProgramSpec, t types) (doubt, err error) {
	targets, unread := specs(t)
	if targets == nil {
		return nil, unread
	}
	nothing, err := emptySpec()
	if err != nil {
		return nil, err
	}
	wanted, err := relocationsByType(programs)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		r := wanted[name]
		fixups, err := r.against(name, targets)
		if fixups == nil {
			doubt = errors.Join(doubt, missed(name, err, unread))
			if fixups, err = r.resolve(nothing); err != nil {
				return doubt, fmt.Errorf("relocate %s: %w", name, err)
			}
		}
		if err := r.apply(fixups); err != nil {
			return doubt, fmt.Errorf("relocate %s: %w", name, err)
		}
	}
	return doubt, nil
}

// missed says what is missing without a type: nil where kernels lack it that are whole.
func missed(name string, err, unread error) error {
	cost, known := typeCosts()[name]
	if !known {
		cost = "some answers may be missing"
	}
	if errors.Is(err, btf.ErrNotFound) {
		err = fmt.Errorf("the kernel describes no type %s", name)
		if unread != nil {
			err = fmt.Errorf("%w (%w)", err, unread)
		} else if !known {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", cost, err)
}

// doubts are what relocations of programs came upon. They may be loaded side by side.
type doubts struct {
	mu   sync.Mutex
	text []string
}

func (d *doubts) add(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.text = append(d.text, strings.Split(err.Error(), "\n")...)
	}
}

func (d *doubts) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.text
	d.text = nil
	return t
}

func (k *kernelSide) relocate(coll *ebpf.CollectionSpec) error {
	doubt, err := relocate(coll.Programs, k.machine.types(k.types.Load()))
	k.doubts.add(doubt)
	return err
}

// relocations are those of one type of bpf/kernel.h, and their instructions.
type relocations struct {
	entries      []*btf.CORERelocation
	instructions []*asm.Instruction
	order        binary.ByteOrder
}

// relocationsByType goes by the name of the type, flavour included.
func relocationsByType(programs map[string]*ebpf.ProgramSpec) (map[string]*relocations, error) {
	byType := make(map[string]*relocations)
	for _, p := range programs {
		for i := range p.Instructions {
			ins := &p.Instructions[i]
			entry := btf.CORERelocationMetadata(ins)
			if entry == nil {
				continue
			}
			name, err := localType(entry)
			if err != nil {
				return nil, err
			}
			if byType[name] == nil {
				byType[name] = &relocations{order: p.ByteOrder}
			}
			byType[name].entries = append(byType[name].entries, entry)
			byType[name].instructions = append(byType[name].instructions, ins)
		}
	}
	return byType, nil
}

// localType is the name of a program's own type. The library shows it in words only:
// CORERelocation(byte_off, Struct:"sk_buff"[0:3], local_id=7).
func localType(entry *btf.CORERelocation) (string, error) {
	_, rest, _ := strings.Cut(entry.String(), `:"`)
	name, _, ok := strings.Cut(rest, `"[`)
	if !ok || name == "" {
		return "", fmt.Errorf("relocation of no named type: %s", entry)
	}
	return name, nil
}

// against resolves them by the first of targets that defines the type. The error is
// [btf.ErrNotFound] where none does.
func (r *relocations) against(name string, targets []*btf.Spec) ([]btf.COREFixup, error) {
	essential, _, _ := strings.Cut(name, "___") // flavours of libbpf
	for _, target := range targets {
		defined, err := defines(target, essential)
		if err != nil {
			return nil, fmt.Errorf("type %s: %w", essential, err)
		}
		if !defined {
			continue
		}
		// Numbers of types are the kernel's, so it is first; there the type is
		// declared at most.
		among := slices.Compact([]*btf.Spec{targets[0], target})
		fixups, err := r.resolve(among...)
		if err != nil {
			return nil, fmt.Errorf("type %s: %w", essential, err)
		}
		return fixups, nil
	}
	return nil, fmt.Errorf("type %s: %w", essential, btf.ErrNotFound)
}

// defines reports whether a type of that name has content. Functions and variables
// may share a type's name.
func defines(spec *btf.Spec, name string) (bool, error) {
	found, err := spec.AnyTypesByName(name)
	if errors.Is(err, btf.ErrNotFound) {
		return false, nil
	}
	for _, t := range found {
		switch t.(type) {
		case *btf.Fwd, *btf.Func, *btf.Var:
		default:
			return true, nil
		}
	}
	return false, err
}

func (r *relocations) resolve(targets ...*btf.Spec) ([]btf.COREFixup, error) {
	return btf.CORERelocate(r.entries, targets, r.order, func(btf.Type) (btf.TypeID, error) {
		return 0, errors.New("a program's own type has no number yet")
	})
}

// apply also takes the relocations away, so that the library finds none. A plain load
// of a member that is missing gives 0, as READ of bpf/read.h does.
func (r *relocations) apply(fixups []btf.COREFixup) error {
	for i, ins := range r.instructions {
		if isMissingMember(&fixups[i]) && ins.OpCode.Class() == asm.LdXClass {
			*ins = asm.Mov.Imm(ins.Dst, 0).WithMetadata(ins.Metadata)
		} else if err := fixups[i].Apply(ins); err != nil {
			return err
		}
		*ins = btf.WithCORERelocationMetadata(*ins, nil)
	}
	return nil
}

// isMissingMember knows what the library says in words only: byte_off=poison.
func isMissingMember(f *btf.COREFixup) bool { return strings.HasSuffix(f.String(), "=poison") }

// emptySpec describes nothing that anybody asks for.
func emptySpec() (*btf.Spec, error) {
	b, err := btf.NewBuilder([]btf.Type{&btf.Int{Name: "nothing", Size: 4}}, nil)
	if err != nil {
		return nil, fmt.Errorf("describe no types: %w", err)
	}
	spec, err := b.Spec()
	if err != nil {
		return nil, fmt.Errorf("describe no types: %w", err)
	}
	return spec, nil
}
