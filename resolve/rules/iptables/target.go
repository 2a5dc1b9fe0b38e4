package iptables

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// targetSpec is the spec of a target, nil for one that is not known, which may
// be a chain.
func targetSpec(family, name string) *spec {
	for _, find := range []func(family, name string) *spec{verdictSpec, markSpec, natSpec, passingSpec} {
		if s := find(family, name); s != nil {
			return s
		}
	}
	return nil
}

// buildTarget makes what -j or -g comes to.
func (b *builder) buildTarget(r *ruleWords) error {
	e := r.target
	if e == nil {
		return nil
	}
	// Chains may not have targets' names, save those of extensions, which a
	// chain of that name hides.
	if c := b.chains[e.name]; c != nil {
		return b.buildJump(c, e, r.goTo)
	}
	switch {
	case r.goTo:
		return fmt.Errorf("-g %s: %w", quoteWord(e.name), ErrNoChain)
	case e.spec != nil && !e.strange:
		return e.spec.build(b, e)
	case e.spec == nil && b.strict && len(e.words) == 2 && !isUpper(e.name):
		return fmt.Errorf("-j %s: %w", quoteWord(e.name), ErrNoChain)
	}
	b.emit(&ruleset.Opaque{Kind: e.name, MayDrop: true, MayAccept: true, Text: e.text()})
	return nil
}

// isUpper: extensions' names are capitals.
func isUpper(name string) bool {
	for _, c := range name {
		if c >= 'a' && c <= 'z' {
			return false
		}
	}
	return true
}

func (b *builder) buildJump(c *ruleset.Chain, e *extension, goTo bool) error {
	if c.IsBase() {
		return fmt.Errorf("%s: %q is a built-in chain: %w", e.text(), c.Name, ErrSyntax)
	}
	v := &ruleset.Verdict{Kind: ruleset.Jump, Target: c, Text: e.text()}
	if goTo {
		v.Kind = ruleset.Goto
	}
	b.emit(v)
	return nil
}

// verdictSpec has the targets that end a packet's way through the chain.
func verdictSpec(family, name string) *spec {
	verdict := func(kind ruleset.VerdictKind, options ...string) *spec {
		return newSpec(func(b *builder, e *extension) error {
			_, bypass := e.find("queue-bypass")
			b.emit(&ruleset.Verdict{Kind: kind, Bypass: bypass, Text: e.text()})
			return nil
		}, options...)
	}
	switch name {
	case "ACCEPT":
		return verdict(ruleset.Accept)
	case "DROP":
		return verdict(ruleset.Drop)
	case "RETURN":
		return verdict(ruleset.Return)
	case "REJECT":
		return verdict(ruleset.Reject, "reject-with=1")
	case "QUEUE":
		return verdict(ruleset.Queue)
	case "NFQUEUE":
		return verdict(ruleset.Queue, "queue-num=1", "queue-balance=1", "queue-bypass", "queue-cpu-fanout")
	case "TPROXY":
		// With a socket it accepts, without one it drops.
		return deciding("on-port=1", "on-ip=1", "tproxy-mark=1")
	case "SYNPROXY":
		// It answers SYNs itself and lets through what is of no handshake.
		return deciding("sack-perm", "timestamp", "wscale=1", "mss=1", "ecn")
	case "CLUSTERIP":
		return deciding("new", "hashmode=1", "clustermac=1", "total-nodes=1", "local-node=1", "hash-init=1")
	}
	return nil
}

// deciding is for targets that may end the packet's way or not.
func deciding(options ...string) *spec {
	return newSpec(func(b *builder, e *extension) error {
		b.emit(&ruleset.Opaque{
			Kind: e.name, Understood: true, MayDrop: true, MayAccept: true, Text: e.text(),
		})
		return nil
	}, options...)
}

// passingSpec has the targets after which the rules go on and that change
// nothing which a rule here looks at.
func passingSpec(_, name string) *spec {
	pass := func(options ...string) *spec {
		return newSpec(func(*builder, *extension) error { return nil }, options...)
	}
	switch name {
	case "LOG":
		return pass("log-prefix=1", "log-level=1", "log-tcp-sequence", "log-tcp-options", "log-ip-options", "log-uid",
			"log-macdecode")
	case "NFLOG":
		return pass("nflog-group=1", "nflog-prefix=1", "nflog-range=1", "nflog-size=1", "nflog-threshold=1")
	case "ULOG":
		return pass("ulog-nlgroup=1", "ulog-prefix=1", "ulog-cprange=1", "ulog-qthreshold=1")
	case "TRACE":
		return pass()
	case "AUDIT":
		return pass("type=1")
	case "TEE":
		return pass("gateway=1", "oif=1")
	case "CHECKSUM":
		return pass("checksum-fill")
	case "IDLETIMER":
		return pass("timeout=1", "label=1", "alarm")
	case "LED":
		return pass("led-trigger-id=1", "led-delay=1", "led-always-blink")
	case "RATEEST":
		return pass("rateest-name=1", "rateest-interval=1", "rateest-ewmalog=1")
	case "SECMARK":
		return pass("selctx=1")
	case "CONNSECMARK":
		return pass("save", "restore")
	case "TCPMSS":
		return newSpec(buildTCPMSS, "set-mss=1", "clamp-mss-to-pmtu")
	case "SET":
		return newSpec(buildSetTarget, "add-set=2", "del-set=2", "map-set=2", "timeout=1", "exist", "map-mark",
			"map-prio", "map-queue")
	case "CT":
		return newSpec(buildCT, "notrack", "helper=1", "ctevents=1", "expevents=1", "zone=1", "zone-orig=1",
			"zone-reply=1", "timeout=1")
	case "NOTRACK":
		return newSpec(buildCT)
	}
	return nil
}

// buildTCPMSS is tcpmss_tg4: it changes an option of SYNs, and drops a header
// that is no whole one. A path's MTU that leaves no room is left out.
func buildTCPMSS(b *builder, e *extension) error {
	b.emit(&ruleset.Header{
		Size: 20, Options: true, LaterFragments: true, Short: ruleset.ShortDrops, Text: e.text(),
	})
	return nil
}

// buildSetTarget: adding an element drops nothing; --map-set may set the mark.
func buildSetTarget(b *builder, e *extension) error {
	if _, ok := e.find("map-mark"); ok {
		b.emit(&ruleset.Assign{Field: ruleset.Mark, Text: e.text()})
	}
	return nil
}

// buildCT is xt_ct_target. What else it gives a connection no rule sees here.
func buildCT(b *builder, e *extension) error {
	if _, ok := e.find("notrack"); ok || e.name == "NOTRACK" {
		b.emit(&ruleset.NoTrack{Text: e.text()})
		return nil
	}
	for _, name := range []string{"zone", "zone-orig", "zone-reply"} {
		o, ok := e.find(name)
		if !ok {
			continue
		}
		a := &ruleset.Assign{Field: ruleset.CTZone, Text: e.text()}
		if n, err := parseNumber(o.arg(), 0xffff); err == nil && name == "zone" {
			a.Value, a.Known = bigEndian(2, n), true
		}
		b.emit(a)
	}
	return nil
}
