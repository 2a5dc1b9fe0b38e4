package explain

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/near"
	"github.com/droptrace/droptrace/resolve/rules/replay"
)

// place finds the interfaces, and with neither given whether this host sends it.
func (q *flagPacket) place(s *subject) error {
	var err error
	if q.In, err = s.interfaceNamed("in", q.in); err != nil {
		return err
	}
	if q.Out, err = s.interfaceNamed("out", q.out); err != nil {
		return err
	}
	if q.hook != "" {
		// What the hook cannot have is none; what was not said is not known.
		q.In.Known = q.In.Known || q.hook == "output" || q.hook == "postrouting" && s.sends(q.Source) || q.hook == "egress"
		q.Out.Known = q.Out.Known || q.hook == "input" || q.hook == "prerouting" || q.hook == "ingress"
		return nil
	}
	switch {
	case q.in != "":
	case q.out != "" || s.sends(q.Source):
		q.In.Known = true
	default:
		return console.BadUsage(errors.New("it is not said where the packet comes from"),
			"--in NAME for one that comes in, --out NAME for one that this host sends, or --hook HOOK")
	}
	return nil
}

// sends reports whether an address is this host's own.
func (s *subject) sends(a netip.Addr) bool {
	if s.live == nil {
		return false
	}
	local, ok := s.live.Local(a)
	return ok && local
}

// noIndex stands for an interface that no rule can name by its index.
const noIndex = 1 << 30

// interfaceNamed is an interface as rules see it. One that is not there is
// refused where that can be known.
func (s *subject) interfaceNamed(flag, name string) (replay.Interface, error) {
	if name == "" {
		return replay.Interface{}, nil
	}
	index, ok := s.indexes[name]
	if !ok && s.live != nil {
		err := fmt.Errorf("--%s: there is no interface %q", flag, name)
		var known []string
		for n := range s.indexes {
			known = append(known, n)
		}
		slices.Sort(known)
		if like := near.Names(name, known); len(like) > 0 {
			return replay.Interface{}, console.BadUsage(err, "did you mean "+console.Either(like)+"?")
		}
		return replay.Interface{}, console.BadUsage(err, "ip link lists them")
	}
	if !ok {
		index = noIndex
	}
	return replay.Interface{Known: true, Name: name, Index: index}, nil
}

// interfaceIndexes lists a namespace's interfaces.
func interfaceIndexes(h *netns.Handle) (map[string]uint32, error) {
	out := make(map[string]uint32)
	err := h.Do(func() error {
		list, err := net.Interfaces()
		for _, i := range list {
			out[i.Name] = uint32(i.Index)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return out, nil
}
