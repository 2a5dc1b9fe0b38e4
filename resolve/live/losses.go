package live

import (
	"sync"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/tracer"
	"github.com/droptrace/droptrace/tracer/event"
)

// lostKind is a kind of lost drops with what they are.
type lostKind struct {
	count   uint64
	drop    *drop.Drop // nil: nobody asked for it
	notLost bool       // and no packet was lost
}

// lostKinds is filled by who reads the ring, and read by who writes.
type lostKinds struct {
	mu    sync.Mutex
	kinds map[tracer.LossKey]*lostKind
	seen  uint64 // Counts.Lost of the last look
}

// collectLosses resolves the lost drops of kinds that are new: soon, since rules
// can be gone later.
func (t *Trace) collectLosses() {
	c, err := t.tracer.Counts()
	if err != nil || c.Lost == t.lost.seen || !t.lostAlike() {
		return
	}
	t.lost.seen = c.Lost
	err = t.tracer.Losses(func(k tracer.LossKey, n uint64, first *event.Event) {
		t.lost.mu.Lock()
		kind := t.lost.kinds[k]
		t.lost.mu.Unlock()
		if kind == nil {
			kind = t.lostKind(first)
		}
		t.lost.mu.Lock()
		defer t.lost.mu.Unlock()
		if t.lost.kinds == nil {
			t.lost.kinds = make(map[tracer.LossKey]*lostKind)
		}
		kind.count = n
		t.lost.kinds[k] = kind
	})
	if err != nil {
		t.notice(err.Error())
	}
}

// lostAlike reports whether the kernel side has decided all that depends on the
// packet: the first of a kind then speaks for the others.
func (t *Trace) lostAlike() bool {
	return t.filter.FitsKernel() && (t.expression == nil || t.expressionInKernel)
}

func (t *Trace) lostKind(e *event.Event) *lostKind {
	if e.Type == event.Drop && !t.all && t.class(e) != symbol.Lost {
		return &lostKind{notLost: true}
	}
	d := new(drop.Drop)
	t.resolver.Resolve(t.drained, e, t.tracer.Time(e), d, heldTry)
	if !t.matchResolved(d) {
		return &lostKind{}
	}
	if d.Attribution.Certainty != drop.Certain {
		// What was found by evaluating the rules holds for this packet alone.
		if d.Attribution.Method == "replay" {
			d.Cause, d.Verdict = "rule", "drop"
		}
		d.Rule = nil
		d.Attribution = drop.Attribution{
			Certainty: drop.Unknown, Note: "their records were lost",
		}
	}
	return &lostKind{drop: d}
}

// Losses implements [Report].
func (t *Trace) Losses() drop.Lost {
	t.lost.mu.Lock()
	defer t.lost.mu.Unlock()
	var l drop.Lost
	for _, k := range t.lost.kinds {
		switch {
		case k.drop != nil:
			l.Places = append(l.Places, drop.LostPlace{Drop: k.drop, Count: k.count})
		case k.notLost:
			l.NotLost += k.count
		default:
			l.Unasked += k.count
		}
	}
	return l
}
