package recording

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

const (
	// maxVerdicts bounds the verdicts that writer and reader keep. Past it the
	// numbers begin anew.
	maxVerdicts = 4096
	// recentVerdicts are found without encoding them.
	recentVerdicts = 64
)

// verdict is what many drops have in common, told once in a file.
type verdict struct {
	number  int
	drop    *drop.Drop // the first of them
	comment string
}

// verdicts finds the verdict of a drop. Few are new: a flood dies by one rule.
type verdicts struct {
	recent [recentVerdicts]*verdict
	byJSON map[string]*verdict
	next   int
}

// find returns d's verdict, and its JSON where it is new to the file.
func (t *verdicts) find(d *drop.Drop) (v *verdict, encoded []byte, err error) {
	slot := &t.recent[slotOf(d)]
	if *slot != nil && sameVerdict((*slot).drop, d) {
		return *slot, nil, nil
	}
	common := commonPart(d)
	encoded, err = json.Marshal(common)
	if err != nil {
		return nil, nil, fmt.Errorf("encode verdict: %w", err)
	}
	if v := t.byJSON[string(encoded)]; v != nil {
		*slot = v
		return v, nil, nil
	}
	if t.next == maxVerdicts {
		*t = verdicts{}
		slot = &t.recent[slotOf(d)]
	}
	if t.byJSON == nil {
		t.byJSON = make(map[string]*verdict)
	}
	v = &verdict{number: t.next, drop: common}
	t.next++
	t.byJSON[string(encoded)] = v
	*slot = v
	return v, encoded, nil
}

// slotOf spreads drops cheaply; what shares a slot is only found less fast.
func slotOf(d *drop.Drop) uint32 {
	h := d.Netns.Inode*31 + uint32(len(d.Hook)) + uint32(len(d.Location))*7 + uint32(len(d.Reason))*13
	if d.Rule != nil {
		h = h*31 + uint32(d.Rule.Handle)*5 + uint32(d.Rule.Number) + uint32(len(d.Rule.Chain))*17
	}
	if d.In != nil {
		h = h*31 + d.In.Index
	}
	if d.Out != nil {
		h = h*31 + d.Out.Index*3
	}
	if d.Conntrack != nil {
		h += uint32(len(d.Conntrack.State)) + uint32(len(d.Conntrack.NAT))*3
	}
	return (h ^ h>>11) % recentVerdicts
}

// commonPart is d without all that record.go keeps for each packet.
func commonPart(d *drop.Drop) *drop.Drop {
	c := *d
	c.Time = time.Time{}
	c.Packet = drop.Packet{}
	c.Repeats = 0
	if d.Conntrack != nil {
		shape := *d.Conntrack
		shape.Mark, shape.Timeout = 0, nil
		shape.Original, shape.Reply = shapeOf(shape.Original), shapeOf(shape.Reply)
		c.Conntrack = &shape
	}
	return &c
}

// shapeOf keeps the protocol of a tuple: the rest are numbers.
func shapeOf(t *drop.Tuple) *drop.Tuple {
	if t == nil {
		return nil
	}
	return &drop.Tuple{Protocol: t.Protocol}
}

// sameVerdict reports whether two drops have their common part in common. A test
// holds it to the fields of the structs.
func sameVerdict(a, b *drop.Drop) bool {
	return a.Type == b.Type && a.Schema == b.Schema && a.Netns == b.Netns &&
		a.Hook == b.Hook && equal(a.In, b.In) && equal(a.Out, b.Out) &&
		a.Verdict == b.Verdict && a.Cause == b.Cause && a.Reason == b.Reason &&
		a.Location == b.Location && a.Function == b.Function &&
		sameRule(a.Rule, b.Rule) && sameAttribution(&a.Attribution, &b.Attribution) &&
		sameShape(a.Conntrack, b.Conntrack) && equal(a.Process, b.Process) && sameSocket(a.Socket, b.Socket) &&
		slices.Equal(a.Why, b.Why) && slices.Equal(a.Stack, b.Stack)
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func sameRule(a, b *drop.Rule) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.Priority, y.Priority = nil, nil
	return x == y && equal(a.Priority, b.Priority)
}

func sameAttribution(a, b *drop.Attribution) bool {
	return a.Certainty == b.Certainty && a.Method == b.Method && a.Note == b.Note &&
		slices.EqualFunc(a.Candidates, b.Candidates, func(x, y drop.Rule) bool { return sameRule(&x, &y) })
}

func sameShape(a, b *drop.Conntrack) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.State == b.State && a.Dir == b.Dir && a.Zone == b.Zone && a.TCPState == b.TCPState &&
		reflect.DeepEqual(a.Failure, b.Failure) && slices.Equal(a.Status, b.Status) && slices.Equal(a.NAT, b.NAT) &&
		sameProtocol(a.Original, b.Original) && sameProtocol(a.Reply, b.Reply)
}

func sameSocket(a, b *drop.Socket) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Role == b.Role && a.UID == b.UID && slices.Equal(a.Processes, b.Processes)
}

func sameProtocol(a, b *drop.Tuple) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Protocol == b.Protocol
}
