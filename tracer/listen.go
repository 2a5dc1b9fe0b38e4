package tracer

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
	t.config.ListenHooked = 1
}
