package drop

import (
	"time"
)

// ConntrackFailure is a packet that failed to get its conntrack entry, or a
// connection that lost its own. A field that is not known is zero and absent from
// JSON.
type ConntrackFailure struct {
	Type   string    `json:"type"` // always "conntrack_failure"
	Schema int       `json:"schema"`
	Time   time.Time `json:"time"`

	Packet Packet     `json:"packet"`
	Netns  Netns      `json:"netns"`
	Hook   string     `json:"hook,omitempty"`
	In     *Interface `json:"in,omitempty"`
	Out    *Interface `json:"out,omitempty"`
	// Lost is whether the packet was; an evicted connection loses none.
	Lost bool `json:"lost"`
	// Conntrack is the packet's own entry, the one that lost.
	Conntrack *Conntrack `json:"conntrack,omitempty"`
	Failure   Failure    `json:"failure"`
	Why       []Why      `json:"why,omitempty"`
	// Repeats counts failures folded into this one, itself not included. They
	// have its cause, namespace and, unless Mixed, its flow.
	Repeats uint64 `json:"repeats,omitempty"`
	Mixed   bool   `json:"mixed,omitempty"`
}
