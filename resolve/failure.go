package resolve

import (
	"context"
	"time"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/conntrack/table"
	"github.com/droptrace/droptrace/tracer/event"
)

// ConntrackFailure is a packet that failed to get its conntrack entry, or a
// connection that lost its own. A field that is not known is zero and absent from
// JSON.
type ConntrackFailure struct {
	Type   string    `json:"type"` // always "conntrack_failure"
	Schema int       `json:"schema"`
	Time   time.Time `json:"time"`

	Packet Packet     `json:"packet"`
	Netns  Netns      `json:"netns"`
	Hook   string     `json:"hook,omitempty"`
	In     *Interface `json:"in,omitempty"`
	Out    *Interface `json:"out,omitempty"`
	// Lost is whether the packet was; an evicted connection loses none.
	Lost bool `json:"lost"`
	// Conntrack is the packet's own entry, the one that lost.
	Conntrack *Conntrack        `json:"conntrack,omitempty"`
	Failure   conntrack.Failure `json:"failure"`
	Why       []Why             `json:"why,omitempty"`
	// Repeats counts failures folded into this one, itself not included. They
	// have its cause, namespace and, unless Mixed, its flow.
	Repeats uint64 `json:"repeats,omitempty"`
	Mixed   bool   `json:"mixed,omitempty"`
}

// ResolveFailure names what a conntrack failure holds; nil where the event is
// none. Of a drop it says only what has to do with conntrack.
func (r *Resolver) ResolveFailure(ctx context.Context, e *event.Event, at time.Time) *ConntrackFailure {
	if e.Flags&event.HasFailure == 0 {
		return nil
	}
	n := r.spaceOf(ctx, e)
	out := &ConntrackFailure{
		Type: "conntrack_failure", Schema: Schema, Time: at,
		Packet: packetOf(e), Netns: n.info, Lost: e.Type == event.Drop,
	}
	var d Drop
	if e.Hook != event.NoHook {
		r.resolveHook(e, &d)
	} else if e.DevIndex != 0 {
		d.In = r.device(e.DevIndex, e.DevName)
	}
	out.Hook, out.In, out.Out = d.Hook, d.In, d.Out
	out.Conntrack = conntrack.Of(&e.CT, conntrack.Context{HZ: r.hz})
	out.Failure = *r.failure(ctx, n, e)
	message, fix := out.Failure.Explain(out.Conntrack)
	out.Why = []Why{{Code: out.Failure.Code(), Message: message, Fix: fix}}
	return out
}

// dropFailure adds to a drop why conntrack lost it.
func (r *Resolver) dropFailure(ctx context.Context, n *namespace, e *event.Event, d *Drop) {
	if e.Flags&event.HasFailure == 0 {
		return
	}
	f := r.failure(ctx, n, e)
	if f.Cause == conntrack.UnknownCause && d.Cause != "hook" {
		return
	}
	if d.Conntrack == nil { // it was not given an entry: that is the failure
		d.Conntrack = &Conntrack{State: "new"}
		if f.Cause == conntrack.Invalid || f.Cause == conntrack.TCPReopenRace {
			d.Conntrack.State = "invalid"
		}
	}
	d.Conntrack.Failure = f
	message, fix := f.Explain(d.Conntrack)
	if f.Certainty != string(Certain) {
		message = "probably " + message
	}
	d.Why = append(d.Why, Why{Code: f.Code(), Message: message, Fix: fix})
	blameConntrack(e, d, f)
}

// blameConntrack is for kernels where the frame does not tell which hook dropped:
// conntrack did, by what a probe saw or by its counters.
func blameConntrack(e *event.Event, d *Drop, f *conntrack.Failure) {
	lost := f.Cause != conntrack.Invalid && f.Cause != conntrack.UnknownCause
	if d.Cause != "hook" && d.Cause != "rule" || d.Attribution.Certainty != Unknown || !lost {
		return
	}
	d.Cause, d.Rule = "hook", nil
	d.Attribution = Attribution{Certainty: Certainty(f.Certainty), Method: "conntrack"}
	switch {
	case f.Cause == conntrack.NATInterfaceChanged:
		d.Function = "nf_nat_inet_fn"
	case e.CT.Present == event.CTEntry:
		d.Function = "__nf_conntrack_confirm"
	default:
		d.Function = "nf_conntrack_in"
	}
}

func (r *Resolver) failure(ctx context.Context, n *namespace, e *event.Event) *conntrack.Failure {
	facts := conntrack.Facts{Dropped: e.Type == event.Drop, HZ: r.hz, Table: n.ct.usage(n, r.now())}
	facts.Preempted = r.preempted(e)
	if e.HookFn != 0 {
		facts.Hook = r.hookFunction(e.HookFn)
	}
	p := packetOf(e)
	facts.SYN = len(p.TCPFlags) == 1 && p.TCPFlags[0] == "syn"
	f := conntrack.FailureOf(e, facts)
	if f.Table == nil && f.Cause == conntrack.ChainTooLong {
		f.Table = facts.Table
	}
	f.FindOther(&e.CT, func(t *table.Tuple, zone uint16) (*table.Entry, error) {
		return n.ct.lookup(ctx, n, r.Ctnetlink, r.now(), t, zone)
	})
	if f.Cause == conntrack.NATPortCollision {
		f.Pool = n.ct.pool(ctx, n, r.Ctnetlink, r.now(), conntrack.ReplyOf(&e.CT))
	}
	return f
}
