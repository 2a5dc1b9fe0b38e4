package resolve

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/netns"
	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/symbol"
	"github.com/droptrace/droptrace/resolve/xtables"
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
	// Ctnetlink is in the kernel: asking it for an entry loads no module.
	Ctnetlink bool
	// Notify takes what the user should know, once each. May be nil.
	Notify func(message string)
}

// maxNamespaces bounds the namespaces kept open; past it the oldest goes.
const maxNamespaces = 4096

// Resolver turns events into drops. It is used by one goroutine.
type Resolver struct {
	Config
	own    uint32
	spaces map[uint32]*namespace
	now    func() time.Time
	hz     int // 0: not known
	told   map[string]bool
	// at is the rule or policy that the drop being resolved is certain of.
	at    replay.Place
	names names
}

// New returns a Resolver that has looked at nothing yet.
func New(c Config) (*Resolver, error) {
	own, err := netns.Current()
	if err != nil {
		return nil, err
	}
	hz, _ := conntrack.HZ() // without it timeouts stay absent
	return &Resolver{
		hz: hz, Config: c, own: own.Inode, spaces: make(map[uint32]*namespace),
		now: time.Now, told: make(map[string]bool),
	}, nil
}

// Close lets every namespace go.
func (r *Resolver) Close() error {
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

// Resolve fills d with what an event holds. The time is the drop's wall clock.
func (r *Resolver) Resolve(ctx context.Context, e *event.Event, at time.Time, d *Drop) {
	n := r.spaceOf(ctx, e)
	r.at = replay.Place{}
	place := r.location(e.Location)
	*d = Drop{
		Type: "drop", Schema: Schema, Time: at,
		Packet:   packetOf(e),
		Netns:    n.info,
		Verdict:  "drop",
		Cause:    "kernel",
		Reason:   r.Reasons.Name(e.Reason),
		Location: place.name,
	}
	d.Attribution.Certainty = Certain
	if e.Type == event.Listen {
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
	if e.Type == event.Stolen {
		resolveStolen(e, d)
		if r.NoWhy {
			d.Why = nil
		}
		return
	}
	r.dropFailure(ctx, n, e, d)
	r.replayed(ctx, n, e, d)
	if e.Flags&event.Sender != 0 && d.Hook == "output" {
		d.Process = &Process{PID: int(e.PID), Command: cString(e.Comm[:])}
	}
	if r.NoWhy {
		d.Why = nil
	} else {
		d.Why = joinWhys(r.why(ctx, n, e, d), d.Why)
	}
	if e.Flags&event.HasStack != 0 {
		d.Stack = r.stack(e)
	}
}

func (r *Resolver) resolveHook(e *event.Event, d *Drop) {
	d.Hook = hookName(e.PF, e.Hook)
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

// NFPROTO_* of uapi linux/netfilter.h.
const (
	protoInet   = 1
	protoIPv4   = 2
	protoARP    = 3
	protoNetdev = 5
	protoBridge = 7
	protoIPv6   = 10
)

func familyName(pf uint8) string {
	switch pf {
	case protoInet:
		return "inet"
	case protoIPv4:
		return "ip"
	case protoARP:
		return "arp"
	case protoNetdev:
		return "netdev"
	case protoBridge:
		return "bridge"
	case protoIPv6:
		return "ip6"
	}
	return fmt.Sprintf("family %d", pf)
}

// hookName spells a hook as nft does; the numbers depend on the family.
func hookName(pf, hook uint8) string {
	const (
		netdev = protoNetdev << 8
		arp    = protoARP << 8
	)
	place := int(hook)
	if pf == protoNetdev || pf == protoARP {
		place |= int(pf) << 8
	}
	switch place {
	case 0:
		return "prerouting"
	case 1, arp:
		return "input"
	case 2, arp | 2:
		return "forward"
	case 3, arp | 1:
		return "output"
	case 4:
		return "postrouting"
	case 5, netdev:
		return "ingress"
	case netdev | 1:
		return "egress"
	}
	return fmt.Sprintf("hook %d", hook)
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
