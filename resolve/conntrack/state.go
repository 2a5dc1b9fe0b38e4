package conntrack

import (
	"net/netip"

	"github.com/droptrace/droptrace/tracer/event"
)

// State is a packet's conntrack state at its drop. What is not known is zero and
// absent from JSON.
type State struct {
	State    string   `json:"state"`            // new established related invalid untracked
	Dir      string   `json:"dir,omitempty"`    // original reply
	Status   []string `json:"status,omitempty"` // seen_reply assured confirmed snat dnat …
	Original *Tuple   `json:"original,omitempty"`
	Reply    *Tuple   `json:"reply,omitempty"`
	Zone     uint16   `json:"zone,omitempty"`
	Mark     uint32   `json:"mark,omitempty"`
	TCPState string   `json:"tcp_state,omitempty"`
	Timeout  *int     `json:"timeout,omitempty"` // seconds
	NAT      []string `json:"nat,omitempty"`     // snat dnat
	Failure  *Failure `json:"failure,omitempty"`
}

// Tuple is one direction of a conntrack entry; ports in host order.
type Tuple struct {
	Source          netip.Addr `json:"source"`
	SourcePort      uint16     `json:"source_port,omitempty"`
	Destination     netip.Addr `json:"destination"`
	DestinationPort uint16     `json:"destination_port,omitempty"`
	Protocol        string     `json:"protocol"`
	ICMPType        *uint8     `json:"icmp_type,omitempty"`
	ICMPCode        *uint8     `json:"icmp_code,omitempty"`
	ICMPID          *uint16    `json:"icmp_id,omitempty"`
}

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
func Of(info *event.CTInfo, c Context) *State {
	switch info.Present {
	case event.CTUntracked:
		return &State{State: "untracked"}
	case event.CTEntry:
		return ofEntry(info, c)
	}
	if c.Seen {
		return &State{State: "invalid"}
	}
	return nil
}

func ofEntry(info *event.CTInfo, c Context) *State {
	name, dir := stateName(info.CTInfo)
	if name == "" {
		return nil
	}
	// One piece of memory: there may be one of these with each drop of a flood.
	s := &struct {
		State
		original, reply Tuple
		status          [6]string
		nat             [2]string
	}{}
	s.State = State{
		State:    name,
		Dir:      dir,
		Status:   appendStatus(s.status[:0], info.Status),
		Original: readTuple(&s.original, &info.Original),
		Reply:    readTuple(&s.reply, &info.Reply),
		Zone:     info.Zone,
		Mark:     info.Mark,
		Timeout:  timeout(info, c.HZ),
		NAT:      appendNAT(s.nat[:0], info),
	}
	if info.Original.Proto == protoTCP {
		s.TCPState = TCPState(info.TCPState)
	}
	return &s.State
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
	if hz <= 0 || info.Status&statusConfirmed == 0 || info.Jiffies == 0 { // not known
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
		inet, ipv4, ipv6            = 1, 2, 10
		input, forward, postrouting = 1, 2, 4
	)
	switch pf {
	case inet, ipv4, ipv6:
		return hook == input || hook == forward || hook == postrouting
	}
	return false
}
