// Package drop holds what droptrace says of lost packets: the records that are
// printed, written and read again, and the questions that a record alone answers.
//
// It knows nothing of how a drop was seen or explained. Of this module it imports
// only the raw record, its bytes and filters.
package drop

import (
	"fmt"
	"net/netip"
	"time"
)

// Schema is the version of the JSON form of every record. It grows when a field
// changes its meaning or goes; new fields do not change it.
const Schema = 1

// Drop is one lost packet, resolved. A field that is not known is zero and
// absent from JSON: nothing is invented.
type Drop struct {
	Type   string    `json:"type"` // always "drop"
	Schema int       `json:"schema"`
	Time   time.Time `json:"time"`

	Packet Packet `json:"packet"`
	Netns  Netns  `json:"netns"`

	Hook string     `json:"hook,omitempty"` // prerouting input forward output postrouting ingress egress
	In   *Interface `json:"in,omitempty"`
	Out  *Interface `json:"out,omitempty"`

	Verdict  string `json:"verdict"`            // drop reject queue_failed stolen
	Cause    string `json:"cause"`              // rule policy hook kernel
	Reason   string `json:"reason,omitempty"`   // the kernel's drop reason
	Location string `json:"location,omitempty"` // symbol+0xoffset
	Function string `json:"function,omitempty"` // with cause hook: the hook's function

	Rule        *Rule       `json:"rule,omitempty"`
	Attribution Attribution `json:"attribution"`
	Conntrack   *Conntrack  `json:"conntrack,omitempty"`
	Process     *Process    `json:"process,omitempty"`
	Socket      *Socket     `json:"socket,omitempty"`
	Why         []Why       `json:"why,omitempty"`
	Stack       []string    `json:"stack,omitempty"`

	// Repeats counts equal drops folded into this one, itself not included.
	Repeats uint64 `json:"repeats,omitempty"`
}

// Packet is what its own bytes say.
type Packet struct {
	Family          string     `json:"family"`             // ip ip6 arp, or 0x88cc
	Protocol        string     `json:"protocol,omitempty"` // tcp udp icmp icmpv6 sctp gre, or the number
	Source          netip.Addr `json:"source,omitzero"`
	SourcePort      *uint16    `json:"source_port,omitempty"`
	Destination     netip.Addr `json:"destination,omitzero"`
	DestinationPort *uint16    `json:"destination_port,omitempty"`
	TCPFlags        []string   `json:"tcp_flags,omitempty"` // syn ack fin rst psh urg ece cwr
	TCP             *TCP       `json:"tcp,omitempty"`
	ICMPType        *uint8     `json:"icmp_type,omitempty"`
	ICMPCode        *uint8     `json:"icmp_code,omitempty"`
	ICMPID          *uint16    `json:"icmp_id,omitempty"` // echo only
	ICMPSeq         *uint16    `json:"icmp_seq,omitempty"`
	ICMPMTU         *uint32    `json:"icmp_mtu,omitempty"`    // of a packet that was too big
	ICMPGateway     netip.Addr `json:"icmp_gateway,omitzero"` // of a redirect
	ICMPTarget      netip.Addr `json:"icmp_target,omitzero"`  // of a neighbor solicitation or advertisement
	IPLength        int        `json:"ip_length,omitempty"`
	PayloadLength   *int       `json:"payload_length,omitempty"` // bytes after the transport header
	TTL             uint8      `json:"ttl,omitempty"`
	IPID            *uint16    `json:"ip_id,omitempty"`
	Segments        int        `json:"segments,omitempty"` // a GSO drop is many wire packets
	Mark            uint32     `json:"mark,omitempty"`
	VLAN            *uint16    `json:"vlan,omitempty"`
	Fragment        *Fragment  `json:"fragment,omitempty"`
	Inner           *Packet    `json:"inner,omitempty"` // quoted in an ICMP error
	// ARP only.
	ARPOperation string `json:"arp_operation,omitempty"` // request reply
	ARPSource    string `json:"arp_source,omitempty"`    // hardware addresses
	ARPTarget    string `json:"arp_target,omitempty"`    // 00:00:00:00:00:00 where it is asked for
}

// TCP holds the header fields that tcpdump prints.
type TCP struct {
	Seq    uint32 `json:"seq"`
	Ack    uint32 `json:"ack,omitempty"`
	Window uint16 `json:"window"`
	Urgent uint16 `json:"urgent,omitempty"`
	// Options in tcpdump's words: "mss 1460,sackOK,nop,wscale 7".
	Options string `json:"options,omitempty"`
}

// Fragment is present where the packet is one piece of a datagram. Past the
// first (Offset > 0) there are no ports.
type Fragment struct {
	ID     uint32 `json:"id"`
	Offset int    `json:"offset"` // bytes
	More   bool   `json:"more"`
}

// Netns names a network namespace.
type Netns struct {
	Inode   uint32 `json:"inode"`
	Name    string `json:"name,omitempty"` // ip netns
	PID     int    `json:"pid,omitempty"`  // a process in it, where it has no name
	Command string `json:"command,omitempty"`
	// Own is true for the namespace droptrace runs in.
	Own bool `json:"own,omitempty"`
}

// Label is how messages call the namespace: its name, a process in it, or its inode.
func (n *Netns) Label() string {
	switch {
	case n.Name != "":
		return n.Name
	case n.Command != "":
		return fmt.Sprintf("of %s (pid %d)", n.Command, n.PID)
	}
	return fmt.Sprintf("inode %d", n.Inode)
}

// Interface is named as it was called at the moment of the drop.
type Interface struct {
	Index uint32 `json:"index"`
	Name  string `json:"name"`
}

// Rule is the rule or, with no Handle and no Number, the policy.
type Rule struct {
	Engine    string `json:"engine"` // nftables iptables-nft iptables-legacy
	Family    string `json:"family"` // ip ip6 inet arp bridge netdev
	Table     string `json:"table"`
	BaseChain string `json:"base_chain,omitempty"`
	Chain     string `json:"chain"`
	Priority  *int32 `json:"priority,omitempty"`
	Handle    uint64 `json:"handle,omitempty"` // nft
	Number    int    `json:"number,omitempty"` // as `iptables -L --line-numbers` counts
	Text      string `json:"text,omitempty"`
	// TextMissing says why Text is absent.
	TextMissing string `json:"text_missing,omitempty"`
	Policy      string `json:"policy,omitempty"` // drop, for a policy
}

// Certainty says how far Rule and Cause can be trusted.
type Certainty string

const (
	Certain  Certainty = "certain"
	Probable Certainty = "probable"
	Unknown  Certainty = "unknown"
)

// Attribution says how the answer was found.
type Attribution struct {
	Certainty  Certainty `json:"certainty"`
	Method     string    `json:"method,omitempty"`
	Candidates []Rule    `json:"candidates,omitempty"` // where one of several
	// Note says in plain words why it is not certain, and what would tell it.
	Note string `json:"note,omitempty"`
}

// Socket is the local socket that sent the packet, or that it came to.
type Socket struct {
	Role string `json:"role"` // sender receiver
	UID  uint32 `json:"uid"`
	// Processes have it open: all of them, none where that is not known. It is shared
	// by many drops.
	Processes []Process `json:"processes,omitempty"`
}

// What a local socket has to do with the packet.
const (
	Sender   = "sender"
	Receiver = "receiver"
)

// Process is the packet's true sender, or has the packet's socket open; never a task
// that was interrupted.
type Process struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}
