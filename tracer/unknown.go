package tracer

import "errors"

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
	return !parts.plain && t.config.Sites[0].Start != 0
}

// understands reports whether what a probe's programs read is known.
func (t *Tracer) understands(p probe) bool {
	return (!p.nft || t.unknown.nft == nil) && (!p.xt || t.unknown.xt == nil)
}

// tellUnknown says what cannot be told of the modules that are there.
func (t *Tracer) tellUnknown(symbols Symbols) {
	if hasNFT(symbols) && t.unknown.nft != nil {
		t.notice("rules of nftables are told by evaluating them, never for certain: %v", t.unknown.nft)
	}
	if hasXT(symbols) && t.unknown.xt != nil {
		t.notice("rules of iptables-legacy are told by evaluating them, never for certain: %v", t.unknown.xt)
	}
}
