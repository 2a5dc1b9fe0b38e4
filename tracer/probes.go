package tracer

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
)

// Plan says which probes to attach beside the tracepoint.
type Plan string

const (
	// PlanAuto takes the tracepoint alone where calibration shows that it
	// answers everything, else fentry, else kprobes, each probe for itself.
	PlanAuto       Plan = "auto"
	PlanFentry     Plan = "fentry"
	PlanKprobe     Plan = "kprobe"
	PlanTracepoint Plan = "tracepoint"
)

// probe is one kernel function and the programs that may stand on it.
type probe struct {
	function          string
	fentry, fexit     string
	kprobe, kretprobe string
	nft               bool // a drop-yielding eval
	xt                bool // a target of x_tables
	records           bool // its programs make records of their own
}

// probes are attached where the kernel has the function: modules bring theirs.
func probes() []probe {
	list := []probe{
		{function: "nf_hook_slow", fentry: "fentry_hook_slow", kprobe: "kprobe_hook_slow"},
		{function: "nft_immediate_eval", fentry: "fentry_immediate", kprobe: "kprobe_immediate", nft: true},
		{function: "reject_tg", fentry: "fentry_xt_reject", kprobe: "kprobe_xt_reject", xt: true},
		{function: "reject_tg6", fentry: "fentry_xt_reject", kprobe: "kprobe_xt_reject", xt: true},
	}
	for _, f := range []string{
		"nft_reject_ipv4_eval", "nft_reject_ipv6_eval", "nft_reject_inet_eval",
		"nft_reject_bridge_eval", "nft_reject_netdev_eval",
	} {
		list = append(list, probe{function: f, fentry: "fentry_reject", kprobe: "kprobe_reject", nft: true})
	}
	// Evals that drop or not: seen on their way out.
	for _, f := range []string{
		"nft_lookup_eval", "nft_target_eval_xt", "nft_target_eval_bridge", "nft_match_eval",
		"nft_dynset_eval", "nft_objref_eval", "nft_objref_map_eval", "nft_connlimit_eval",
		"nft_nat_eval", "nft_masq_eval", "nft_redir_eval", "nft_nat_inet_eval",
		"nft_masq_ipv4_eval", "nft_masq_ipv6_eval", "nft_masq_inet_eval",
		"nft_redir_ipv4_eval", "nft_redir_ipv6_eval", "nft_redir_inet_eval",
		"nft_synproxy_eval", "nft_synproxy_do_eval", "nft_fwd_neigh_eval",
		"nft_exthdr_tcp_strip_eval", "nft_fib_inet_eval", "nft_ct_set_zone_eval",
		"nft_queue_eval", "nft_queue_sreg_eval",
	} {
		list = append(list, probe{function: f, fexit: "fexit_eval", kprobe: "kprobe_eval", kretprobe: "kretprobe_eval", nft: true})
	}
	return list
}

// attachProbes follows the plan and returns what it came to, in words.
func (t *Tracer) attachProbes(plan Plan, symbols Symbols) (string, error) {
	if t.kernel.parts.plain { // which reads no note of theirs
		plan = PlanTracepoint
	}
	conntrack, err := t.attachConntrack(plan, symbols)
	if err != nil || t.options.Conntrack {
		return conntrack, err
	}
	t.attachListen(plan, symbols)
	t.attachSynproxy(plan, symbols)
	return t.attachDropProbes(plan, symbols)
}

// attachDropProbes serves packets that rules drop.
func (t *Tracer) attachDropProbes(plan Plan, symbols Symbols) (string, error) {
	if plan == PlanTracepoint || plan == PlanAuto && t.calibrated() {
		return "tracepoint", nil
	}
	used := t.used
	t.config.NftEvalsHooked = 1
	if t.unknown.nft != nil {
		t.config.NftEvalsHooked = 0
	}
	var firstErr error
	for _, p := range probes() {
		if len(symbols.Ranges(p.function)) == 0 || t.attached[p.function] || !t.understands(p) {
			continue
		}
		how, err := t.attachProbe(plan, p)
		if err != nil {
			if firstErr == nil { // the others failed of the same
				firstErr = err
			}
			if p.nft {
				t.config.NftEvalsHooked = 0
			}
			continue
		}
		used[how]++
		t.attached[p.function] = true
	}
	if firstErr != nil && t.config.NftEvalsHooked == 0 && used[PlanFentry]+used[PlanKprobe] > 0 {
		t.notice("not every nftables expression has a probe: %v", firstErr)
	}
	switch {
	case used[PlanFentry]+used[PlanKprobe] == 0 && plan != PlanAuto:
		if firstErr == nil {
			firstErr = errNoFunction
		}
		return "", fmt.Errorf("no %s probe could be attached: %w", plan, firstErr)
	case used[PlanFentry]+used[PlanKprobe] == 0:
		return "tracepoint", nil
	case used[PlanKprobe] == 0:
		return "fentry", nil
	case used[PlanFentry] == 0:
		return "kprobe", nil
	}
	return "fentry and kprobe", nil
}

// calibrated reports whether the tracepoint alone names rules and policies of
// nftables, or the hook where nft returns its verdict.
func (t *Tracer) calibrated() bool {
	const rules, policies, either = 1 << 1, 1 << 2, 1 << 4 // of enum frame_kind
	return t.learned&either != 0 || t.learned&rules != 0 && t.learned&policies != 0
}

func (t *Tracer) attachProbe(plan Plan, p probe) (Plan, error) {
	var err error
	if plan != PlanKprobe {
		if err = t.attachTracing(p); err == nil {
			return PlanFentry, nil
		}
	}
	if plan != PlanFentry {
		e := t.attachKprobe(p)
		if e == nil {
			return PlanKprobe, nil
		}
		err = errors.Join(err, e)
	}
	return "", fmt.Errorf("probe on %s: %w", p.function, err)
}

func (t *Tracer) attachTracing(p probe) error {
	name := p.fentry + p.fexit // one of them is empty
	prog, err := t.kernel.loadProbe(name, p.function)
	if err != nil {
		return err
	}
	defer prog.Close()
	if p.records {
		if err := t.recorders.add(prog); err != nil {
			return err
		}
	}
	return t.keep(t.kernel.machine.attachTracing(prog))
}

func (t *Tracer) attachKprobe(p probe) error {
	entry, err := t.kernel.loadKprobe(p.kprobe)
	if err != nil {
		return err
	}
	if p.records {
		if err := t.recorders.add(entry); err != nil {
			return err
		}
	}
	address, _ := t.options.Symbols.Entry(p.function)
	err = t.keep(t.kernel.machine.attachKprobe(p.function, address, 0, entry))
	if err != nil || p.kretprobe == "" {
		return err
	}
	exit, err := t.kernel.loadKprobe(p.kretprobe)
	if err != nil {
		return err
	}
	return t.keep(t.kernel.machine.attachKprobe(p.function, address, isReturn, exit))
}

// keep holds on to a link; the program lives as long as it.
func (t *Tracer) keep(l io.Closer, err error) error {
	if err != nil {
		return err
	}
	return t.links.keep(l)
}

// loadKprobe is loadProbe for kprobes, which share a program.
func (k *kernelSide) loadKprobe(name string) (*ebpf.Program, error) {
	if p, ok := k.kprobes[name]; ok {
		return p, nil
	}
	p, err := k.loadProbe(name, "")
	if err != nil {
		return nil, err
	}
	if k.kprobes == nil {
		k.kprobes = make(map[string]*ebpf.Program)
	}
	k.kprobes[name] = p
	return p, nil
}

// loadProbe loads one program on the maps of the others. fentry programs are
// bound to their function when they are loaded.
func (k *kernelSide) loadProbe(name, attachTo string) (*ebpf.Program, error) {
	spec := only(k.spec, name)
	if attachTo != "" {
		spec.Programs[name].AttachTo = attachTo
	}
	if err := k.relocate(spec); err != nil {
		return nil, err
	}
	if err := k.parts.needed(spec.Programs[name]); err != nil {
		return nil, fmt.Errorf("program %s: %w", name, err)
	}
	replace := make(map[string]*ebpf.Map)
	for name, m := range k.coll.Maps {
		replace[name] = m
	}
	coll, err := k.machine.load(spec, ebpf.CollectionOptions{MapReplacements: replace, Cache: k.types.Load()})
	if err != nil {
		return nil, fmt.Errorf("load program %s: %w", name, err)
	}
	p := coll.DetachProgram(name)
	coll.Close()
	return p, nil
}
