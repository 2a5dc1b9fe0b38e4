// Package ruleset is the one model of a firewall that the rest of droptrace
// speaks: nftables, iptables-nft and iptables-legacy are read into it by
// resolve/rules/nftables and resolve/rules/xtables, and nothing above knows which it was.
//
// A Ruleset is a snapshot. It never changes after it was read, so that it may
// be shared by goroutines; a newer one replaces it.
package ruleset

// Engine says which kernel subsystem evaluates a rule and which program wrote
// it: the fix for a rule has to name the right one.
type Engine string

const (
	NFTables       Engine = "nftables"
	IPTablesNFT    Engine = "iptables-nft"
	IPTablesLegacy Engine = "iptables-legacy"
)

// Ruleset is everything one engine evaluates in one network namespace.
type Ruleset struct {
	// Generation is nft's base_seq (NFTA_GEN_ID) at the time of reading;
	// 0 for iptables-legacy, which has none.
	Generation uint32
	Tables     []*Table
}

// Table is one nft or x_tables table.
type Table struct {
	Engine Engine
	// Family as nft spells it: ip, ip6, inet, arp, bridge or netdev.
	Family string
	Name   string
	// Handle is the nft table's own handle, which changes when a table of
	// the same name is made anew; 0 for iptables-legacy.
	Handle uint64
	Chains []*Chain
	// Sets are the table's sets and maps, the anonymous ones included; nil
	// where statements were not read.
	Sets []*Set
}

// Chain is a base chain (Hook is set) or a user-defined one.
type Chain struct {
	Table *Table
	Name  string
	// Handle is nft's chain handle; 0 for iptables-legacy.
	Handle uint64
	// Hook as nft spells it (prerouting, input, forward, output,
	// postrouting, ingress, egress); empty for a user-defined chain.
	Hook     string
	Type     string // filter, nat or route; empty for a user-defined chain
	Priority int32
	// Policy is accept or drop; empty for a user-defined chain.
	Policy string
	// Devices that a netdev (or inet ingress) base chain is bound to.
	Devices []string
	Rules   []*Rule
}

// IsBase reports whether packets enter the chain from a hook.
func (c *Chain) IsBase() bool { return c.Hook != "" }

// Rule is one rule of a chain.
type Rule struct {
	Chain *Chain
	// Handle is nft's rule handle; 0 for iptables-legacy.
	Handle uint64
	// Number is the place in the chain from 1, as
	// `iptables -L --line-numbers` counts.
	Number int
	// CanDrop is true where evaluating the rule itself may end in a drop: an
	// immediate drop or reject, a verdict map with such an element, NFQUEUE,
	// synproxy, an x_tables target or match (hotdrop), an expression that is
	// not known. It is never false for a rule that can drop.
	CanDrop bool
	// Rejects is true where the rule's drop is a reject (nft reject, xt
	// REJECT).
	Rejects bool
	// Queues is true where the rule's verdict is a queue (nft queue, NFQUEUE).
	Queues bool
	// Comment is the rule's own comment, empty where it has none.
	Comment string
	// Statements are what the rule does, in the kernel's order; empty where
	// they were not read, which Read tells apart from a rule of none.
	Statements []Statement
	Read       bool
	// Compat is true where x_tables code has a part in the rule, which only
	// iptables-nft writes: what it does stands in Text better than in the
	// rule's own bytes.
	Compat bool
	// Text is the rule as its own tool prints it; empty where not known.
	Text string
	// Packets is the rule's own counter when it was read, if Counts.
	Packets uint64
	Counts  bool
}
