package tracer

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// attachListen attaches the probe on connection requests, which every SYN to a
// listening socket passes. Where it cannot be had, those that a full queue turns
// away are not seen: they end in consume_skb.
func (t *Tracer) attachListen(plan Plan, symbols Symbols) {
	const function = "tcp_conn_request"
	if plan == PlanTracepoint || t.probeless || t.attached[function] || len(symbols.Ranges(function)) == 0 {
		return
	}
	p := probe{function: function, fentry: "fentry_request", fexit: "fexit_request",
		kprobe: "kprobe_request", kretprobe: "kretprobe_request"}
	if _, err := t.attachPair(plan, p); err != nil {
		return // the plan's name says it
	}
	t.attached[function] = true
	if err := t.findListenCounters(); err != nil {
		t.notice("SYNs that a full queue turns away are not seen: %v", err)
	}
}

var errNoCounter = errors.New("the kernel's BTF names no LINUX_MIB_LISTENDROPS")

// findListenCounters looks for the numbers of counters in the kernel's BTF: they
// shift when one is added. Their enumeration has no name to ask for, so that the
// types have to be gone through, 10 to 300 ms.
func (t *Tracer) findListenCounters() error {
	spec, err := t.options.BTF.Kernel()
	if err != nil {
		return fmt.Errorf("read kernel types: %w", err)
	}
	// A copy, which keeps what it has read no longer than this.
	for typ, err := range spec.Copy().All() {
		if err != nil {
			return fmt.Errorf("read kernel types: %w", err)
		}
		e, ok := typ.(*btf.Enum)
		if !ok || e.Name != "" {
			continue
		}
		for _, v := range e.Values {
			switch v.Name {
			case "LINUX_MIB_LISTENDROPS":
				t.config.MibListenDrops = uint32(v.Value)
			case "LINUX_MIB_LISTENOVERFLOWS":
				t.config.MibListenOverflows = uint32(v.Value)
			case "LINUX_MIB_TCPREQQFULLDROP":
				t.config.MibQueueFull = uint32(v.Value)
			}
		}
		if t.config.MibListenDrops != 0 {
			return nil
		}
	}
	return errNoCounter
}
