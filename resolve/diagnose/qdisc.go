package diagnose

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
)

// Qdiscs is a [Machine] that knows the queueing disciplines of an interface.
type Qdiscs interface {
	Qdiscs(device string) (list []Qdisc, ok bool)
}

// Qdisc is a queueing discipline as tc names it.
type Qdisc struct {
	Kind, Handle string
	Limit        string // how much it holds, "" where that is not known
}

func (q Qdisc) String() string {
	if q.Limit != "" {
		return fmt.Sprintf("%s %s, limit %s", q.Kind, q.Handle, q.Limit)
	}
	return q.Kind + " " + q.Handle
}

// qdisc names the interface and its queueing disciplines for a packet that one of them
// dropped. At these places the packet's device is the one that it leaves by.
func (d *diagnosis) qdisc() []drop.Why {
	q, is := d.c.Machine.(Qdiscs)
	if !is || d.f.in == "" {
		return nil
	}
	list, ok := q.Qdiscs(d.f.in)
	if !ok || len(list) == 0 {
		return nil
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].String()
	}
	what := symbol.Explain("", d.c.Reason)
	one := "its queueing discipline is " + names[0]
	if len(names) > 1 {
		one = "its queueing disciplines are " + strings.Join(names[:min(len(names), 4)], "; ")
	}
	return []drop.Why{{Code: drop.WhyQueueDropped, Message: fmt.Sprintf(
		"%s: it was to leave by %s, and %s (tc -s qdisc show dev %[2]s counts what each drops)", what, d.f.in, one)}}
}
