package tracer

// attachSynproxy attaches what tells the SYNs that synproxy answers, one by one.
// Only packets that reach synproxy pay for it.
func (t *Tracer) attachSynproxy(plan Plan, symbols Symbols) {
	if !t.options.Stolen || plan == PlanTracepoint || t.probeless {
		return
	}
	for _, p := range []probe{
		// The rule's own are first: without them it stays unknown.
		{function: "nft_synproxy_eval", fentry: "fentry_synproxy", kprobe: "kprobe_synproxy", nft: true},
		{function: "synproxy_tg4", fentry: "fentry_xt_reject", kprobe: "kprobe_xt_reject", xt: true},
		{function: "synproxy_tg6", fentry: "fentry_xt_reject", kprobe: "kprobe_xt_reject", xt: true},
		{function: "synproxy_send_client_synack", fentry: "fentry_synack", kprobe: "kprobe_synack"},
		{function: "synproxy_send_client_synack_ipv6", fentry: "fentry_synack", kprobe: "kprobe_synack"},
	} {
		key := p.function + " (stolen)" // attachDropProbes may stand there too
		if t.attached[key] || len(symbols.Ranges(p.function)) == 0 || !t.understands(p) {
			continue
		}
		if _, err := t.attachProbe(plan, p); err != nil {
			t.notice("SYNs that synproxy answers are not told one by one: %v", err)
			return
		}
		t.attached[key] = true
	}
}
