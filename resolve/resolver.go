package resolve

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/tracer/event"
)

// Watcher has the kernel side watch the counters of a legacy table's drop rules.
type Watcher interface {
	Watch(do func(func() error) error, b *xtables.Blob) (Watched, error)
}

// Watched is a table whose counters are watched.
type Watched interface {
	// Address is the table's (struct xt_table_info), which its drops carry.
	Address() uint64
	// Print is the kernel side's number for the bytes of the entry at an offset,
	// which its drops carry too; 0 where it is not known.
	Print(offset uint32) uint64
	// Replaced reports whether the kernel has another table there by now, as far as
	// its address tells.
	Replaced() bool
	// Forget ends the watch, unless the table is watched anew.
	Forget()
}

// Config is what a Resolver stands on.
type Config struct {
	Symbols *symbol.Live
	Reasons *symbol.Reasons // nil where the kernel has none
	Watcher Watcher         // nil: legacy rules stay unknown
	// ProbesComplete reports whether at that time every function that can end
	// a packet in nftables had its probe. nil: never.
	ProbesComplete func(at time.Time) bool
	// NoWhy leaves out what caused a drop and what would mend it.
	NoWhy bool
	// Realtime: the kernel is PREEMPT_RT, where softirqs are preempted.
	Realtime bool
	// Ctnetlink is in the kernel: asking it for an entry loads no module.
	Ctnetlink bool
	// Notify takes what the user should know, once each. May be nil.
	Notify func(message string)
}

// Resolver turns events into drops. It is used by one goroutine.
type Resolver struct {
	Config
	own    uint32
	spaces map[uint32]*namespace // netns.OpenAtMost of them; past it another goes
	now    func() time.Time
	hz     int // 0: not known
	told   map[string]bool
	// at is the rule or policy that the drop being resolved is certain of.
	at replay.Place
	// named is the rule or policy that the drop names, certain or not; denied the
	// model's own of a rule that the packet contradicts.
	named        place
	denied       *ruleset.Rule
	contradicted atomic.Uint64
	fault        string // the method that named a contradicted rule for certain
	names        names
	holders      holders

	tasks   *tasks
	lookups lookups
	reread  share          // of legacy tables of other namespaces, again
	memory  *budget.Budget // of all namespaces
	others  *budget.Budget // of all but our own; memory is its whole
	// until is how long the drop being resolved may wait, and pending says that it
	// lacks something that is being read.
	until   time.Time
	pending bool
	final   bool // it is not tried again
	last    bool // the same, or what was read for it cannot be read twice
}

// New returns a Resolver that has looked at nothing yet.
func New(c Config) (*Resolver, error) {
	own, err := netns.Current()
	if err != nil {
		return nil, err
	}
	hz, _ := conntrack.HZ() // without it timeouts stay absent
	memory := budget.New(budget.All, nil)
	return &Resolver{
		hz: hz, Config: c, own: own.Inode, spaces: make(map[uint32]*namespace),
		now: time.Now, told: make(map[string]bool),
		tasks: newTasks(), memory: memory, others: budget.New(budget.Others, memory),
	}, nil
}

// Close lets every namespace go.
func (r *Resolver) Close() error {
	r.Stop()
	for inode, n := range r.spaces {
		n.close()
		delete(r.spaces, inode)
	}
	return nil
}

func (r *Resolver) notify(message string) {
	if r.Notify == nil || r.told[message] {
		return
	}
	r.told[message] = true
	r.Notify(message)
}

// Resolve fills d with what an event holds. The time is the drop's wall clock. It
// waits no longer than wait for what has to be read, and goes on without it.
func (r *Resolver) Resolve(ctx context.Context, e *event.Event, at time.Time, d *drop.Drop, wait time.Duration) {
	r.until, r.final = time.Now().Add(wait), true
	r.resolve(ctx, e, at, d)
}

func (r *Resolver) resolve(ctx context.Context, e *event.Event, at time.Time, d *drop.Drop) {
	r.at, r.named, r.denied = replay.Place{}, place{}, nil
	r.fault, r.pending, r.last = "", false, r.final
	n := r.spaceOf(e)
	n.used = time.Now()
	defer r.reportFault()
	location := r.freedAt(e)
	*d = drop.Drop{
		Type: "drop", Schema: drop.Schema, Time: at,
		Packet:   drop.EventPacket(e),
		Netns:    n.info,
		Verdict:  "drop",
		Cause:    "kernel",
		Reason:   r.Reasons.Name(e.Reason),
		Location: location.name,
	}
	d.Attribution.Certainty = drop.Certain
	d.Why = socketRefused(e, d.Reason)
	if e.Type == event.Listen {
		r.resolveSocket(e, d)
		resolveListen(e, d)
		if r.NoWhy {
			d.Why = nil
		}
		return
	}
	d.Conntrack = conntrack.Of(&e.CT, conntrack.Context{
		Seen: e.Flags&event.Conntrack != 0 && conntrack.Passed(e.PF, e.Hook), HZ: r.hz,
	})
	if e.Hook != event.NoHook {
		r.resolveHook(e, d)
	}
	r.resolveCause(ctx, n, e, d)
	r.resolveSocket(e, d)
	if !r.pending {
		r.guard(n, e, d)
		r.agree(n, e, d)
	}
	if r.pending {
		return // what comes next reads counters that move on
	}
	if e.Type == event.Stolen {
		resolveStolen(e, d)
		if r.NoWhy {
			d.Why = nil
		}
		return
	}
	r.dropFailure(ctx, n, e, d)
	if d.Conntrack != nil && d.Conntrack.Failure != nil {
		r.last = true // the counters that told it have moved on
	}
	r.replayed(ctx, n, e, d)
	if r.NoWhy {
		d.Why = nil
	} else {
		d.Why = joinWhys(r.why(ctx, n, e, d), d.Why)
	}
	if e.Flags&event.HasStack != 0 {
		d.Stack = r.stack(e)
	}
}

func (r *Resolver) resolveHook(e *event.Event, d *drop.Drop) {
	d.Hook = netfilter.HookName(e.PF, uint32(e.Hook))
	if e.InIndex != 0 {
		d.In = r.device(e.InIndex, e.InName)
	}
	if e.OutIndex != 0 {
		d.Out = r.device(e.OutIndex, e.OutName)
	}
}

func (r *Resolver) stack(e *event.Event) []string {
	var out []string
	for _, pc := range e.Stack {
		if pc == 0 {
			break
		}
		out = append(out, r.location(pc).name)
	}
	return out
}
