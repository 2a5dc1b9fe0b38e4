package conntrack

import (
	"fmt"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
)

// failureTally is what the board's lists and the summary are made of.
type failureTally struct {
	total, lost uint64
	causes      *table.Top[string]
	flows       *table.Top[string]
	sources     *table.Top[string]
	dests       *table.Top[string]
}

const tallyRoom = 4096

func newFailureTally() failureTally {
	top := func() *table.Top[string] { return table.NewTop[string](tallyRoom) }
	return failureTally{causes: top(), flows: top(), sources: top(), dests: top()}
}

func (c *failureTally) add(f *drop.ConntrackFailure) {
	n := 1 + f.Repeats
	c.total += n
	if f.Lost {
		c.lost += n
	}
	c.causes.Add(string(f.Failure.Cause), n)
	source, dest := endpoints(f)
	if source == "" {
		return
	}
	c.sources.Add(source, n)
	c.dests.Add(dest, n)
	c.flows.Add(source+" > "+dest+" "+string(f.Failure.Cause), n)
}

// endpoints are those that the flow began with: the packet's own may be NAT's.
func endpoints(f *drop.ConntrackFailure) (source, dest string) {
	if f.Conntrack != nil && f.Conntrack.Original != nil {
		t := f.Conntrack.Original
		return t.Source.String(), fmt.Sprintf("%s.%d %s", t.Destination, t.DestinationPort, t.Protocol)
	}
	p := &f.Packet
	if !p.Source.IsValid() {
		return "", ""
	}
	dest = p.Destination.String()
	if p.DestinationPort != nil {
		dest += fmt.Sprintf(".%d", *p.DestinationPort)
	}
	return p.Source.String(), dest + " " + p.Protocol
}

func (c *failureTally) lists() []output.BoardList {
	list := func(title string, top *table.Top[string], n int) output.BoardList {
		l := output.BoardList{Title: title}
		for _, r := range top.List(n) {
			l.Rows = append(l.Rows, output.BoardRow{Key: r.Key, Count: r.Count - r.Error})
		}
		return l
	}
	const few = 5
	return []output.BoardList{
		list("causes", c.causes, topRows), list("flows that failed most", c.flows, few),
		list("from", c.sources, few), list("to", c.dests, few),
	}
}
