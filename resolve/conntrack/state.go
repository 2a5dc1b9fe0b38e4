package conntrack

import (
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/event"
)

// Context is what the record alone does not say.
type Context struct {
	// Seen: conntrack had already looked at the packet. Only then does a
	// packet without an entry mean invalid: before that it is not tracked
	// yet, and after local delivery the entry was let go of (nf_reset_ct).
	// See Passed.
	Seen bool
	// HZ is the kernel's tick rate, 0 where it is not known: Timeout stays
	// absent.
	HZ int
}

// enum ip_conntrack_info. From ctReply on the packet goes the other way; 5 and 6
// never stand on a packet.
const (
	ctEstablished = 0
	ctRelated     = 1
	ctNew         = 2
	ctReply       = 3
)

// Of returns the conntrack state of a packet. It is nil where nothing is known:
// the packet carried no entry and c.Seen is false.
func Of(info *event.CTInfo, c Context) *drop.Conntrack {
	switch info.Present {
	case event.CTUntracked:
		return &drop.Conntrack{State: "untracked"}
	case event.CTEntry:
		return ofEntry(info, c)
	}
	if c.Seen {
		return &drop.Conntrack{State: "invalid"}
	}
	return nil
}

func ofEntry(info *event.CTInfo, c Context) *drop.Conntrack {
	name, dir := stateName(info.CTInfo)
	if name == "" {
		return nil
	}
	// One piece of memory: there may be one of these with each drop of a flood.
	s := &struct {
		state           drop.Conntrack
		original, reply drop.Tuple
		status          [6]string
		nat             [2]string
	}{}
	s.state = drop.Conntrack{
		State:    name,
		Dir:      dir,
		Status:   netfilter.AppendStatus(s.status[:0], info.Status),
		Original: readTuple(&s.original, &info.Original),
		Reply:    readTuple(&s.reply, &info.Reply),
		Zone:     info.Zone,
		Mark:     info.Mark,
		Timeout:  timeout(info, c.HZ),
		NAT:      appendNAT(s.nat[:0], info),
	}
	if info.Original.Proto == protoTCP {
		s.state.TCPState = netfilter.TCPState(info.TCPState)
	}
	return &s.state
}

func stateName(info uint8) (state, dir string) {
	dir = "original"
	if info >= ctReply {
		dir = "reply"
		info -= ctReply
	}
	switch {
	case info == ctEstablished:
		return "established", dir
	case info == ctRelated:
		return "related", dir
	case info == ctNew && dir == "original":
		return "new", dir
	}
	return "", ""
}

// timeout is how many seconds the entry had left: 0 where it had run out. Until
// an entry is confirmed its timeout does not run.
func timeout(info *event.CTInfo, hz int) *int {
	if hz <= 0 || info.Status&netfilter.StatusConfirmed == 0 || info.Jiffies == 0 { // not known
		return nil
	}
	// Both are the low 32 bits of jiffies and may wrap in between
	// (nf_ct_expires).
	left := max(int32(info.Timeout-info.Jiffies), 0)
	return new(int(left) / hz)
}

// Passed reports whether a packet that dies at this hook has been past conntrack,
// given that conntrack is active for its namespace and family. Conntrack looks at
// a packet in prerouting or output (priority -200), so a packet there may have
// died before it.
//
// pf is an NFPROTO_ number. Only IPv4, IPv6 and inet are answered for: a bridge
// tracks only what its rules ask for.
func Passed(pf, hook uint8) bool {
	const (
		input, forward, postrouting = 1, 2, 4
	)
	switch pf {
	case netfilter.Inet, netfilter.IPv4, netfilter.IPv6:
		return hook == input || hook == forward || hook == postrouting
	}
	return false
}
