package symbol

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/droptrace/droptrace/resolve/near"
)

// ErrNoReasons is returned for a kernel that gives no drop reasons (before 5.17).
var ErrNoReasons = errors.New("this kernel gives no drop reasons")

// ErrUnknownReason is returned for a name that this kernel's reasons do not hold.
var ErrUnknownReason = errors.New("unknown drop reason")

// Reasons are the running kernel's drop reasons. Their numbers differ from one
// version to the next, so they are read from its BTF. A nil *Reasons knows none.
type Reasons struct {
	names   map[uint32]string
	numbers map[string]uint32
	subsys  map[uint32]string
}

// A reason's upper half is the subsystem that it belongs to (6.4 and later):
// SKB_DROP_REASON_SUBSYS_SHIFT, include/net/dropreason-core.h.
const subsysShift = 16

// LoadReasons reads the reasons out of the kernel's BTF. Subsystems that are
// modules keep theirs in their own BTF: specs of mac80211 and openvswitch may be
// given as modules, and reasons of one that is not are spelled by number. The
// error is ErrNoReasons where the kernel has no enum skb_drop_reason.
func LoadReasons(kernel *btf.Spec, modules ...*btf.Spec) (*Reasons, error) {
	r := &Reasons{
		names:   make(map[uint32]string),
		numbers: make(map[string]uint32),
		subsys:  make(map[uint32]string),
	}
	core, err := enum(kernel, "skb_drop_reason")
	if errors.Is(err, btf.ErrNotFound) {
		return nil, ErrNoReasons
	}
	if err != nil {
		return nil, fmt.Errorf("drop reasons: %w", err)
	}
	r.addCore(core)
	if subsys, err := enum(kernel, "skb_drop_reason_subsys"); err == nil {
		r.addSubsystems(subsys)
	}
	for _, spec := range append(modules, kernel) {
		// 6.4 mac80211, 6.7 openvswitch, 7.2 qdisc. A subsystem that is
		// not there is no error.
		for _, name := range []string{"mac80211_drop_reason", "ovs_drop_reason", "qdisc_drop_reason"} {
			if e, err := enum(spec, name); err == nil {
				r.addForeign(e)
			}
		}
	}
	return r, nil
}

// enum returns the enumeration of that name. A kernel may describe one several times:
// they must say the same.
func enum(spec *btf.Spec, name string) (*btf.Enum, error) {
	found, err := spec.AnyTypesByName(name)
	if err != nil {
		return nil, err
	}
	var first *btf.Enum
	for _, t := range found {
		e, ok := t.(*btf.Enum)
		switch {
		case !ok:
		case first == nil:
			first = e
		case !slices.Equal(first.Values, e.Values):
			return nil, fmt.Errorf("enum %s: its definitions differ", name)
		}
	}
	if first == nil {
		return nil, fmt.Errorf("enum %s: %w", name, btf.ErrNotFound)
	}
	return first, nil
}

// addCore takes the kernel's own, without the two bounds at the end.
func (r *Reasons) addCore(e *btf.Enum) {
	for _, v := range e.Values {
		name := trimReason(v.Name)
		if v.Value>>subsysShift != 0 || name == "MAX" || name == "SUBSYS_MASK" {
			continue
		}
		r.add(uint32(v.Value), name)
	}
}

func (r *Reasons) addSubsystems(e *btf.Enum) {
	for _, v := range e.Values {
		name := strings.TrimPrefix(trimReason(v.Name), "SUBSYS_")
		if name != "CORE" && name != "NUM" {
			r.subsys[uint32(v.Value)] = name
		}
	}
}

// addForeign takes a subsystem's: the tracepoint prints their names in full, so
// they keep their prefix. The enum's bases and bounds are no reasons.
func (r *Reasons) addForeign(e *btf.Enum) {
	for _, v := range e.Values {
		n := uint32(v.Value)
		if n>>subsysShift == 0 || strings.HasPrefix(v.Name, "_") || strings.HasSuffix(v.Name, "_MAX") {
			continue
		}
		r.add(n, v.Name)
	}
}

func (r *Reasons) add(number uint32, name string) {
	if _, ok := r.names[number]; !ok {
		r.names[number] = name
	}
	r.numbers[name] = number
}

// Name spells a reason as the tracepoint does, NETFILTER_DROP. A reason of a
// subsystem whose names were not given is spelled OPENVSWITCH_3, any other unknown
// one by its number. It is "" where the kernel gives no reasons.
func (r *Reasons) Name(number uint32) string {
	if r == nil {
		return ""
	}
	if name, ok := r.names[number]; ok {
		return name
	}
	if subsys, ok := r.subsys[number>>subsysShift]; ok {
		return subsys + "_" + strconv.FormatUint(uint64(number&(1<<subsysShift-1)), 10)
	}
	return strconv.FormatUint(uint64(number), 10)
}

// Number returns the reason of that name, in any case, with - for _ and with or
// without its SKB_DROP_REASON_. The error is ErrUnknownReason with the names that
// come near, or ErrNoReasons.
func (r *Reasons) Number(name string) (uint32, error) {
	if r == nil {
		return 0, fmt.Errorf("drop reason %q: %w", name, ErrNoReasons)
	}
	key := trimReason(strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(name)), "-", "_"))
	if n, ok := r.numbers[key]; ok {
		return n, nil
	}
	if like := near.Names(key, r.Names()); len(like) > 0 {
		return 0, fmt.Errorf("drop reason %q: %w; near it: %s", name, ErrUnknownReason, strings.Join(like, ", "))
	}
	return 0, fmt.Errorf("drop reason %q: %w", name, ErrUnknownReason)
}

// Names lists every reason by name, sorted.
func (r *Reasons) Names() []string {
	if r == nil {
		return nil
	}
	names := make([]string, 0, len(r.numbers))
	for name := range r.numbers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func trimReason(name string) string {
	if rest, ok := strings.CutPrefix(name, "SKB_DROP_REASON_"); ok {
		return rest
	}
	return strings.TrimPrefix(name, "SKB_") // SKB_CONSUMED, SKB_NOT_DROPPED_YET
}
