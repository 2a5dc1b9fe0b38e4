package diagnose

import (
	"fmt"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// invalid tells packets that conntrack could place in no connection, dropped for
// that: by a rule that asks for the state.
func (d *diagnosis) invalid() []drop.Why {
	if d.c.Packet.Conntrack.State != ruleset.CTInvalid {
		return nil
	}
	w := drop.Why{Code: drop.WhyConntrackInvalid}
	by := d.dropper()
	if m := by.shape.has(ruleset.CTState); m != nil && d.match(m) == replay.Yes {
		w.Message = fmt.Sprintf("conntrack calls it invalid, and %s drops what is: %s", d.ruleName(by.with(m)), d.whyInvalid())
	} else if d.byDefault() {
		w.Message = fmt.Sprintf("conntrack calls it invalid, and no rule of %s accepts it so before %s: %s",
			d.c.Place.Base.Name, d.placeName(d.c.Place), d.whyInvalid())
	} else {
		return nil
	}
	if d.outsideWindow() {
		w.Fix = d.c.Namespace.in(d.shell("sysctl", "-w", liberal+"=1"))
	} else if f := d.failure(); f != nil && f.Cause == drop.CauseInvalid {
		_, w.Fix = conntrack.Explain(f, d.c.Conntrack)
	}
	return []drop.Why{w}
}

// untracked tells packets that a rule would accept for their state, had they one.
func (d *diagnosis) untracked() []drop.Why {
	if d.state != ruleset.CTUntracked || !d.byDefault() {
		return nil
	}
	by := d.notracker()
	if by == "" {
		return nil
	}
	for _, state := range []uint32{ruleset.CTNew, ruleset.CTEstablished} {
		if state == ruleset.CTEstablished && d.opens() {
			continue
		}
		if r := d.acceptedIn(state); r != nil {
			return []drop.Why{{Code: drop.WhyUntracked, Message: fmt.Sprintf(
				"%s keeps conntrack from it (notrack), so %s, which matches the state, does not accept it", by, d.ruleName(r))}}
		}
	}
	return nil
}

// failure is what conntrack itself told of the packet; nil for nothing.
func (d *diagnosis) failure() *drop.Failure {
	if ct := d.c.Conntrack; ct != nil && ct.Failure != nil && ct.Failure.Cause != drop.CauseUnknown {
		return ct.Failure
	}
	return nil
}

// conntrackHook tells drops by conntrack itself where no probe saw why. What a
// probe saw is package conntrack's to tell.
func (d *diagnosis) conntrackHook() []drop.Why {
	if d.failure() != nil {
		return nil
	}
	switch d.c.Function {
	case "ipv4_conntrack_in", "ipv4_conntrack_local", "ipv6_conntrack_in", "ipv6_conntrack_local", "nf_conntrack_in":
		return d.tableFull()
	case "ipv4_confirm", "ipv6_confirm", "nf_confirm", "nf_conntrack_confirm":
		return d.insertFailed()
	}
	return nil
}

// tableFull: in conntrack's first hook a packet dies of an entry that could not
// be had (__nf_conntrack_alloc). It is told as a full table only where it is full.
func (d *diagnosis) tableFull() []drop.Why {
	count, counted := d.number("net/netfilter/nf_conntrack_count")
	limit, limited := d.number("net/netfilter/nf_conntrack_max")
	if !counted || !limited || limit <= 0 || count < limit-limit/20 {
		return nil
	}
	return []drop.Why{{
		Code:    drop.WhyConntrackTableFull,
		Message: fmt.Sprintf("conntrack's table is full, with %d of %d entries: new connections are dropped", count, limit),
		// The limit is the machine's, and can be written only outside of other
		// namespaces.
		Fix: d.shell("sysctl", "-w", fmt.Sprintf("net.netfilter.nf_conntrack_max=%d", 2*limit)),
	}}
}

// insertFailed: at confirmation a packet dies of a connection with the same
// tuple that was entered meanwhile.
func (d *diagnosis) insertFailed() []drop.Why {
	w := drop.Why{Code: drop.WhyConntrackInsertFailed, Message: "conntrack could not enter its connection: another one with the same addresses and ports was entered first"}
	if ct := d.c.Conntrack; ct != nil && ct.State == "new" && d.f.HasPorts && d.f.Protocol == packet.ProtoUDP {
		w.Message += ", as when two packets of one UDP flow are sent at once"
	}
	return []drop.Why{w}
}
