package resolve

import (
	"context"
	"time"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/tracer/event"
)

// ResolveFailure names what a conntrack failure holds; nil where the event is
// none. Of a drop it says only what has to do with conntrack.
func (r *Resolver) ResolveFailure(ctx context.Context, e *event.Event, at time.Time) *drop.ConntrackFailure {
	if e.Flags&event.HasFailure == 0 {
		return nil
	}
	r.until, r.pending, r.last = time.Now().Add(MaxHold), false, true
	n := r.spaceOf(e)
	out := &drop.ConntrackFailure{
		Type: "conntrack_failure", Schema: drop.Schema, Time: at,
		Packet: drop.EventPacket(e), Netns: n.info, Lost: e.Type == event.Drop,
	}
	var d drop.Drop
	if e.Hook != event.NoHook {
		r.resolveHook(e, &d)
	} else if e.DevIndex != 0 {
		d.In = r.device(e.DevIndex, e.DevName)
	}
	out.Hook, out.In, out.Out = d.Hook, d.In, d.Out
	out.Conntrack = conntrack.Of(&e.CT, conntrack.Context{HZ: r.hz})
	out.Failure = *r.failure(ctx, n, e)
	message, fix := conntrack.Explain(&out.Failure, out.Conntrack)
	out.Why = []drop.Why{{Code: conntrack.Code(&out.Failure), Message: message, Fix: fix}}
	return out
}

// dropFailure adds to a drop why conntrack lost it.
func (r *Resolver) dropFailure(ctx context.Context, n *namespace, e *event.Event, d *drop.Drop) {
	if e.Flags&event.HasFailure == 0 {
		return
	}
	f := r.failure(ctx, n, e)
	if f.Cause == drop.CauseUnknown && d.Cause != "hook" {
		return
	}
	if d.Conntrack == nil { // it was not given an entry: that is the failure
		d.Conntrack = &drop.Conntrack{State: "new"}
		if f.Cause == drop.CauseInvalid || f.Cause == drop.CauseTCPReopenRace {
			d.Conntrack.State = "invalid"
		}
	}
	d.Conntrack.Failure = f
	message, fix := conntrack.Explain(f, d.Conntrack)
	if f.Certainty != string(drop.Certain) {
		message = "probably " + message
	}
	d.Why = append(d.Why, drop.Why{Code: conntrack.Code(f), Message: message, Fix: fix})
	blameConntrack(e, d, f)
}

// blameConntrack is for kernels where the frame does not tell which hook dropped:
// conntrack did, by what a probe saw or by its counters.
func blameConntrack(e *event.Event, d *drop.Drop, f *drop.Failure) {
	lost := f.Cause != drop.CauseInvalid && f.Cause != drop.CauseUnknown
	if d.Cause != "hook" && d.Cause != "rule" || d.Attribution.Certainty != drop.Unknown || !lost {
		return
	}
	d.Cause, d.Rule = "hook", nil
	d.Attribution = drop.Attribution{Certainty: drop.Certainty(f.Certainty), Method: "conntrack"}
	switch {
	case f.Cause == drop.CauseNATInterfaceChanged:
		d.Function = "nf_nat_inet_fn"
	case e.CT.Present == event.CTEntry:
		d.Function = "__nf_conntrack_confirm"
	default:
		d.Function = "nf_conntrack_in"
	}
}

func (r *Resolver) failure(ctx context.Context, n *namespace, e *event.Event) *drop.Failure {
	facts := conntrack.Facts{Dropped: e.Type == event.Drop, HZ: r.hz, Table: n.ct.usage(n, r.now())}
	facts.Preempted = r.preempted(e)
	if e.HookFn != 0 {
		facts.Hook = r.hookFunction(e.HookFn)
	}
	p := drop.EventPacket(e)
	facts.SYN = len(p.TCPFlags) == 1 && p.TCPFlags[0] == "syn"
	f := conntrack.FailureOf(e, facts)
	if f.Table == nil && f.Cause == drop.CauseChainTooLong {
		f.Table = facts.Table
	}
	conntrack.FindOther(f, &e.CT, func(t *table.Tuple, zone uint16) (*table.Entry, error) {
		return n.ct.lookup(ctx, n, r.Ctnetlink, r.now(), t, zone)
	})
	if f.Cause == drop.CauseNATPortCollision {
		f.Pool = n.ct.pool(ctx, n, r.Ctnetlink, r.now(), conntrack.ReplyOf(&e.CT))
	}
	return f
}
