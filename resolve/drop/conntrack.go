package drop

import "net/netip"

// Conntrack is a packet's conntrack state at its drop. What is not known is zero and
// absent from JSON.
type Conntrack struct {
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

// FailureCause is why a packet failed to get its conntrack entry, or lost it.
type FailureCause string

const (
	CauseTableFull           FailureCause = "table-full"
	CauseNoMemory            FailureCause = "no-memory"
	CauseEarlyDrop           FailureCause = "early-drop"            // a connection was evicted for another
	CauseSameFlowRace        FailureCause = "same-flow-race"        // two packets of one flow at once
	CauseNATPortCollision    FailureCause = "nat-port-collision"    // two flows, one translated tuple
	CauseClash               FailureCause = "clash"                 // one of these two
	CauseClashResolved       FailureCause = "clash-resolved"        // nothing was lost
	CauseChainTooLong        FailureCause = "chain-too-long"        // 5.15 and later
	CauseDying               FailureCause = "dying"                 // deleted before it was confirmed
	CauseHelper              FailureCause = "helper"                // a helper, or its sequence adjustment
	CauseNATInterfaceChanged FailureCause = "nat-interface-changed" // a masqueraded flow got another route
	CauseTCPReopenRace       FailureCause = "tcp-reopen-race"
	CauseInvalid             FailureCause = "invalid"
	CauseUnknown             FailureCause = "unknown"
)

// Failure is what is known of one. What is not known is zero and absent from
// JSON.
type Failure struct {
	Cause     FailureCause `json:"cause"`
	Certainty string       `json:"certainty"`        // certain probable unknown
	Reason    string       `json:"reason,omitempty"` // of invalid and helper: the kernel's own words
	// Other is the entry that was there first, or that was evicted.
	Other *ConntrackEntry `json:"other,omitempty"`
	Table *ConntrackTable `json:"table,omitempty"` // of a table that is full
	Pool  *PortPool       `json:"pool,omitempty"`  // of a translated port that was taken
	Note  string          `json:"note,omitempty"`  // why it is not certain
}

// ConntrackEntry is a conntrack entry that is not the packet's own.
type ConntrackEntry struct {
	Status   []string `json:"status,omitempty"`
	Original *Tuple   `json:"original,omitempty"`
	Reply    *Tuple   `json:"reply,omitempty"`
	Zone     uint16   `json:"zone,omitempty"`
	Mark     uint32   `json:"mark,omitempty"`
	TCPState string   `json:"tcp_state,omitempty"`
	Timeout  *int     `json:"timeout,omitempty"` // seconds
	NAT      []string `json:"nat,omitempty"`
}

// ConntrackTable says how full a conntrack table is.
type ConntrackTable struct {
	Count   uint64 `json:"count"`
	Max     uint64 `json:"max"`
	Buckets uint64 `json:"buckets,omitempty"`
	// Growth in entries a second, less than 0 where it empties. Absent until
	// it was looked at twice.
	Growth *int `json:"growth,omitempty"`
}

// PortPool says which of an address's ports are in use towards a destination.
type PortPool struct {
	Address     string `json:"address"`
	Destination string `json:"destination"` // address:port
	Protocol    string `json:"protocol"`
	InUse       int    `json:"in_use"`
	Low         uint16 `json:"low"` // of the ports in use
	High        uint16 `json:"high"`
}
