package tracer

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// errPart says that a program needs a part which this kernel refused.
var errPart = errors.New("refused by the kernel")

// essentialMaps are those without which no drop can be told.
func essentialMaps() []string {
	return []string{"settings", "counts", "per_cpu", "scratches", "events", ".rodata", ".bss"}
}

// mapCosts says what is missing where the kernel refuses a map.
func mapCosts() map[string]string {
	const (
		legacy    = "rules of iptables-legacy are told by evaluating them"
		nft       = "rules of nftables may stay unknown"
		probes    = "probes on nftables' expressions tell nothing"
		conntrack = "causes of conntrack failures are told by counters alone"
		listening = "what listening sockets turn away is not told"
		summary   = "totals by rule leave out drops that were lost"
		arrivals  = "arrivals are not counted"
		bytes     = "no packets are recorded"
	)
	return map[string]string{
		"xt_tables": legacy, "xt_watch": legacy, "xt_values": legacy, "xt_prints": legacy,
		"xt_queries": legacy, "xt_query_scan": legacy, "xt_query_walk": legacy, "cpu_anchors": legacy,
		"fresh_seens": legacy, "fresh_walks": legacy,
		"calibrations": nft, "calibration_records": nft, "calibration_netns": nft, "frame_sites": nft, "known_chains": nft, "hook_fns": nft,
		"notes": probes, "pending_evals": probes, "hook_note_rings": probes,
		"ct_baselines": conntrack, "ct_notes": conntrack, "ct_runs": conntrack,
		"listen_runs": listening, "mib_baselines": listening,
		"losses": summary, "arrivals": arrivals, "records": bytes, "frames": "expressions run outside of the kernel",
	}
}

// typeCosts says what is missing where the kernel does not describe a type. The others
// are of some kernels only: of later ones, or of what may not be built.
func typeCosts() map[string]string {
	return map[string]string{
		"net":             "namespaces, hooks and rules are not told",
		"net_device":      "interfaces and namespaces are not told",
		"nf_hook_state":   "hooks and rules are not told",
		"nf_conn":         "states of conntrack are not told",
		"sock":            "sockets are not told",
		"skb_shared_info": "segments and fragments are not told",
		"task_struct":     "processes are not told",
		"bpf_array":       "rules of iptables-legacy are told by evaluating them",
		"nsproxy":         "rules of iptables-legacy are told by evaluating them",
	}
}

// dispensable are helpers without which something is not told, and no more.
func dispensable() map[asm.BuiltinFunc]string {
	return map[asm.BuiltinFunc]string{
		asm.FnJiffies64:          "timeouts of conntrack entries are not told",
		asm.FnGetCurrentTask:     "processes are not told",
		asm.FnGetCurrentPidTgid:  "processes are not told",
		asm.FnGetCurrentComm:     "processes are not told",
		asm.FnGetStack:           "stacks are not told",
		asm.FnProbeReadKernelStr: "some names are not told",
	}
}

// parts are what the kernel refused, by kind and name.
type parts struct {
	maps    map[string]bool
	helpers map[asm.BuiltinFunc]bool
	plain   bool // no program that looks for hooks and rules
	notices []string
}

// find tries every part of a collection that the kernel would not load by itself.
// It returns false where nothing is to be had without those that are missing.
func (p *parts) find(m machine, coll *ebpf.CollectionSpec) bool {
	p.maps, p.helpers = make(map[string]bool), make(map[asm.BuiltinFunc]bool)
	for _, name := range slices.Sorted(maps.Keys(coll.Maps)) {
		if slices.Contains(essentialMaps(), name) {
			continue
		}
		created, err := m.createMap(coll.Maps[name].Copy())
		if err == nil {
			created.Close()
			continue
		}
		p.maps[name] = true
		p.notices = append(p.notices, fmt.Sprintf("%s: the kernel refuses a map (%s): %v", mapCosts()[name], name, lastOf(err)))
	}
	costs := dispensable()
	for _, f := range slices.Sorted(maps.Keys(costs)) {
		if err := m.helper(f); err != nil {
			p.helpers[f] = true
			p.notices = append(p.notices, fmt.Sprintf("%s: the kernel refuses a helper (%v): %v", costs[f], f, lastOf(err)))
		}
	}
	return len(p.maps)+len(p.helpers) > 0
}

// lastOf is the kernel's own answer, without the way to it.
func lastOf(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// leaveOut puts stand-ins in place of what the kernel refused.
func (p *parts) leaveOut(coll *ebpf.CollectionSpec) {
	for name := range p.maps {
		coll.Maps[name] = standIn(coll.Maps[name])
	}
	for _, program := range coll.Programs {
		for i := range program.Instructions {
			ins := &program.Instructions[i]
			if ins.IsBuiltinCall() && p.helpers[asm.BuiltinFunc(ins.Constant)] {
				*ins = asm.Mov.Imm(asm.R0, 0).WithMetadata(ins.Metadata)
			}
		}
	}
}

// standIn is a map in which nothing is found: every program asks whether something was.
// It must be filled, so that nothing can be put there.
func standIn(m *ebpf.MapSpec) *ebpf.MapSpec {
	if m.Type == ebpf.RingBuf { // helpers take no other map for one
		return &ebpf.MapSpec{Name: "absent", Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())}
	}
	return &ebpf.MapSpec{
		Name: "absent", Type: ebpf.Hash, KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: 1,
	}
}

// fill takes the one place of each stand-in by a key that nobody asks for.
func (p *parts) fill(coll *ebpf.Collection) error {
	for name := range p.maps {
		m := coll.Maps[name]
		if m.Type() == ebpf.RingBuf {
			continue // it is written to, and nobody reads it
		}
		key := slices.Repeat([]byte{0xff}, int(m.KeySize()))
		if err := m.Put(key, make([]byte, m.ValueSize())); err != nil {
			return fmt.Errorf("fill stand-in of map %s: %w", name, err)
		}
	}
	return nil
}

// needed returns the error of a program that looks into a map which is not there.
func (p *parts) needed(program *ebpf.ProgramSpec) error {
	for i := range program.Instructions {
		ins := &program.Instructions[i]
		if ins.IsLoadFromMap() && p.maps[ins.Reference()] {
			return fmt.Errorf("map %s: %w", ins.Reference(), errPart)
		}
	}
	return nil
}

// refused says in a line why programs that need no other part do not load.
func refused(err error) error {
	text := err.Error()
	if strings.Contains(text, "\n") {
		text, _, _ = strings.Cut(text, "\n")
		return errors.New(text)
	}
	return err
}
