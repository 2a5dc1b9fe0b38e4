package tracer

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf/btf"
)

// errDefinitionsDiffer says that a kernel describes several types of one name which
// do not agree on what is asked.
var errDefinitionsDiffer = errors.New("its definitions differ")

// types describes the running kernel; a *btf.Cache is one.
type types interface {
	Kernel() (*btf.Spec, error)
	// Module returns the types of a module; the error wraps [fs.ErrNotExist] for one
	// that is built in, not loaded, or has none.
	Module(name string) (*btf.Spec, error)
}

// netfilterModules own types that droptrace reads; that order is the order of search.
func netfilterModules() []string {
	return []string{"nf_conntrack", "nf_nat", "nf_tables", "x_tables", "ip_tables"}
}

// specs returns the kernel's own types, then those of the netfilter modules that
// have some. The specs are good also where an error comes with them.
func specs(t types) ([]*btf.Spec, error) {
	kernel, err := t.Kernel()
	if err != nil {
		return nil, fmt.Errorf("read kernel types: %w", err)
	}
	out := []*btf.Spec{kernel}
	var unread error
	for _, m := range netfilterModules() {
		spec, err := t.Module(m)
		switch {
		case err == nil:
			out = append(out, spec)
		case !errors.Is(err, fs.ErrNotExist):
			unread = errors.Join(unread, fmt.Errorf("read types of module %s: %w", m, err))
		}
	}
	return out, unread
}

// layouts finds offsets in a kernel's types and in those of its modules.
type layouts struct {
	specs  []*btf.Spec
	unread error // why some module's types are not among them
}

func newLayouts(t types) (*layouts, error) {
	l := new(layouts)
	l.specs, l.unread = specs(t)
	if l.specs == nil {
		return nil, l.unread
	}
	return l, nil
}

// structs returns the definitions of a struct: the kernel's own, else those of the
// first module that has some. Since pahole 1.28 or so a module may describe one several
// times, where they differ in what their members point to (Debian 6.16 to 6.18). A
// declaration without members does not count.
func (l *layouts) structs(name string) ([]*btf.Struct, error) {
	for _, spec := range l.specs {
		found, err := spec.AnyTypesByName(name)
		if err != nil && !errors.Is(err, btf.ErrNotFound) {
			return nil, fmt.Errorf("type %s: %w", name, err)
		}
		var out []*btf.Struct
		for _, t := range found {
			if s, ok := t.(*btf.Struct); ok && len(s.Members) > 0 {
				out = append(out, s)
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	if l.unread != nil {
		return nil, fmt.Errorf("type %s: %w", name, l.unread)
	}
	return nil, fmt.Errorf("type %s: %w", name, btf.ErrNotFound)
}

// has reports whether the type is described; an error is no answer.
func (l *layouts) has(name string) (bool, error) {
	_, err := l.structs(name)
	if errors.Is(err, btf.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// size returns the bytes of a type on which all its definitions agree.
func (l *layouts) size(name string) (uint32, error) {
	definitions, err := l.structs(name)
	if err != nil {
		return 0, err
	}
	for _, d := range definitions {
		if d.Size != definitions[0].Size {
			return 0, fmt.Errorf("type %s: %w: %d and %d bytes", name, errDefinitionsDiffer, definitions[0].Size, d.Size)
		}
	}
	return definitions[0].Size, nil
}

// offset returns where a member lies, in bytes; bit fields count from the byte
// they begin in. All definitions of the type must agree; the error is errNoMember
// where none has it.
func (l *layouts) offset(typeName, member string) (uint32, error) {
	definitions, err := l.structs(typeName)
	if err != nil {
		return 0, err
	}
	first, has := findMember(definitions[0].Members, member)
	for _, d := range definitions[1:] {
		if at, ok := findMember(d.Members, member); ok != has || at != first {
			return 0, fmt.Errorf("type %s: member %s: %w", typeName, member, errDefinitionsDiffer)
		}
	}
	if !has {
		return 0, fmt.Errorf("type %s: member %s: %w", typeName, member, errNoMember)
	}
	return first, nil
}
