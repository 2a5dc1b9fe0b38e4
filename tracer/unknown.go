package tracer

import (
	"errors"

	"github.com/cilium/ebpf/btf"
)

var errNoText = errors.New("kernel symbol _stext or _etext not found in /proc/kallsyms")

func hasNFT(s Symbols) bool { return len(s.Ranges("nft_do_chain")) > 0 }

func hasXT(s Symbols) bool {
	return len(s.Ranges("ipt_do_table"))+len(s.Ranges("ip6t_do_table")) > 0
}

// canCalibrate reports whether the kernel side looks at frames, and knows of which
// functions.
func (t *Tracer) canCalibrate() bool {
	parts := &t.kernel.parts
	for _, name := range []string{"calibrations", "calibration_records", "calibration_netns", "frame_sites"} {
		if parts.maps[name] {
			return false
		}
	}
	return !t.hookless && !parts.plain && t.config.Sites[0].Start != 0
}

// understands reports whether what a probe's programs read is known.
func (t *Tracer) understands(p probe) bool {
	return (!p.nft || t.unknown.nft == nil) && (!p.xt || t.unknown.xt == nil)
}

// hookMembers are what a hook is recognised by on the stack: without one of them the
// hook, and with it the rule, is not told.
func hookMembers() [][2]string {
	return [][2]string{{"nf_hook_state", "hook"}, {"nf_hook_state", "pf"}, {"nf_hook_state", "net"},
		{"nf_hook_state", "okfn"}, {"net", "ns"}}
}

// checkHookMembers says which are missing, if any is.
func (t *Tracer) checkHookMembers(l *layouts) {
	for _, m := range hookMembers() {
		if _, err := l.offset(m[0], m[1]); err != nil {
			t.hookless = true
			if !errors.Is(err, btf.ErrNotFound) { // see typeCosts
				t.notice("hooks and rules are not told: %v", err)
			}
		}
	}
}

// tellUnknown says what cannot be told of the modules that are there.
func (t *Tracer) tellUnknown(symbols Symbols) {
	if hasNFT(symbols) && t.unknown.nft != nil {
		t.notice("rules of nftables are told by evaluating them, never for certain: %v", t.unknown.nft)
	}
	if _, loaded := symbols.Entry("nft_immediate_eval"); loaded && !hasNFT(symbols) {
		t.notice("rules of nftables may stay unknown: the kernel shows no symbol nft_do_chain")
	}
	if hasXT(symbols) && t.unknown.xt != nil {
		t.notice("rules of iptables-legacy are told by evaluating them, never for certain: %v", t.unknown.xt)
	}
}
