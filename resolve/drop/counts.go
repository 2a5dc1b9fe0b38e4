package drop

// ConntrackCounts are conntrack's counters, summed over CPUs.
type ConntrackCounts struct {
	Insert        uint64 `json:"insert"`
	InsertFailed  uint64 `json:"insert_failed"`
	Drop          uint64 `json:"drop"`
	EarlyDrop     uint64 `json:"early_drop"`
	ClashResolve  uint64 `json:"clash_resolve"`
	ChainTooLong  uint64 `json:"chaintoolong"`
	Invalid       uint64 `json:"invalid"`
	SearchRestart uint64 `json:"search_restart"`
	Found         uint64 `json:"found"`
}
