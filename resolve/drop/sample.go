package drop

import (
	"time"
)

// ConntrackSample is how a namespace's conntrack table stands at one moment.
type ConntrackSample struct {
	Type   string    `json:"type"` // always "sample"
	Schema int       `json:"schema"`
	Time   time.Time `json:"time"`
	Netns  Netns     `json:"netns"`

	Table ConntrackTable `json:"table"`
	// Total is what the kernel counted since the namespace came to be, and
	// Delta since the sample before, Milliseconds ago; absent in the first.
	Total        ConntrackCounts  `json:"total"`
	Delta        *ConntrackCounts `json:"delta,omitempty"`
	Milliseconds int              `json:"milliseconds,omitempty"`
	Fill         *Fill            `json:"fill,omitempty"`
}

// Fill says who fills a table: the highest counts.
type Fill struct {
	Entries      uint64      `json:"entries"`
	States       []FillState `json:"states"`
	Sources      []FillCount `json:"sources"`
	Destinations []FillCount `json:"destinations"` // protocol and port: "udp 53"
}

// FillState counts entries of one protocol and state.
type FillState struct {
	Protocol string `json:"protocol"`
	State    string `json:"state,omitempty"` // TCP's
	// Unreplied entries have seen no answer; assured ones are never evicted.
	Unreplied bool   `json:"unreplied,omitempty"`
	Assured   bool   `json:"assured,omitempty"`
	Count     uint64 `json:"count"`
}

// FillCount is a key with its entries.
type FillCount struct {
	Key   string `json:"key"`
	Count uint64 `json:"count"`
}
