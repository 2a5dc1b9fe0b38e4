package live

import (
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter/expression"
)

// resolve returns nil for what nobody asked for, and for what has to wait.
func (t *Trace) resolve() *drop.Drop {
	e := &t.event
	switch e.Type {
	case event.Drop, event.Listen, event.Stolen:
	default:
		return nil
	}
	if e.Type == event.Drop && !t.all && t.class(e) != symbol.Lost {
		t.notLost.Add(1)
		return nil
	}
	if !t.filter.MatchEvent(e) || !t.expressionMatches(e) {
		t.filteredUser.Add(1)
		return nil
	}
	d, ok := t.resolveOrHold()
	if !ok {
		return nil
	}
	return t.wanted(d)
}

// wanted returns nil for a resolved drop that nobody asked for.
func (t *Trace) wanted(d *drop.Drop) *drop.Drop {
	if !t.matchResolved(d) {
		t.filteredUser.Add(1)
		return nil
	}
	return d
}

// matchResolved decides what only the ruleset tells.
func (t *Trace) matchResolved(d *drop.Drop) bool {
	var table, chain, state string
	if d.Rule != nil {
		table, chain = d.Rule.Table, d.Rule.Chain
	}
	if d.Conntrack != nil {
		state = d.Conntrack.State
	}
	return t.filter.MatchResolved(table, chain, state)
}

// expressionMatches is what the kernel side does of drops where it can.
func (t *Trace) expressionMatches(e *event.Event) bool {
	if t.expression == nil || t.expressionInKernel && e.Type == event.Drop {
		return true
	}
	verdict, err := t.expression.Event(e)
	if err != nil || verdict == expression.Undecided {
		t.undecided.Add(1)
		return false
	}
	return verdict == expression.Yes
}

// class tells frees that lose no packet; netfilter's always lose one.
func (t *Trace) class(e *event.Event) symbol.Class {
	if e.Hook != event.NoHook {
		return symbol.Lost
	}
	name, _, _ := t.symbols.Lookup(e.Location)
	free := t.free(e, name)
	if e.Caller != 0 {
		if caller, _, ok := t.symbols.Lookup(e.Caller); ok {
			free.Callers = []string{caller}
		}
	}
	return free.Class()
}

// free is what the record says of a packet that the function freed.
func (t *Trace) free(e *event.Event, function string) symbol.Free {
	p := e.Headers()
	free := symbol.Free{Symbol: function, Reason: t.reasons.Name(e.Reason), Protocol: uint8(p.Protocol),
		Deferred: e.Flags&event.Deferred != 0, Overflow: e.Flags&event.Overflow != 0}
	free.Blank = e.Length == 0 && e.HeaderLen == 0 && e.Protocol == 0
	if p.HasTCP {
		free.TCPFlags, free.Empty = uint8(p.TCP.Flags), p.PayloadLength == 0
	}
	if p.HasICMP {
		free.ICMPType = p.ICMP.Type
	}
	return free
}
