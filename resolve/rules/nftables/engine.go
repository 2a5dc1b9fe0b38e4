package nftables

import (
	"math"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// builtin is a base chain as iptables-nft makes it.
type builtin struct {
	chain, typ, hook string
	priority         int32
}

// builtins are the base chains that iptables-nft (ip and ip6), arptables-nft
// and ebtables-nft make in a table, from iptables 1.8.9: made by it here, and
// the same in nft.c from 1.8.0 on. nil for tables they never make.
func builtins(family, table string) []builtin {
	switch family {
	case "ip", "ip6":
		return iptablesBuiltins(table)
	case "arp":
		if table == "filter" {
			return []builtin{{"INPUT", "filter", "input", 0}, {"OUTPUT", "filter", "output", 0}}
		}
	case "bridge":
		return ebtablesBuiltins(table)
	}
	return nil
}

func iptablesBuiltins(table string) []builtin {
	switch table {
	case "filter":
		return []builtin{
			{"INPUT", "filter", "input", 0},
			{"FORWARD", "filter", "forward", 0},
			{"OUTPUT", "filter", "output", 0},
		}
	case "nat":
		return []builtin{
			{"PREROUTING", "nat", "prerouting", -100},
			{"INPUT", "nat", "input", 100},
			{"OUTPUT", "nat", "output", -100},
			{"POSTROUTING", "nat", "postrouting", 100},
		}
	case "mangle":
		return []builtin{
			{"PREROUTING", "filter", "prerouting", -150},
			{"INPUT", "filter", "input", -150},
			{"FORWARD", "filter", "forward", -150},
			{"OUTPUT", "route", "output", -150},
			{"POSTROUTING", "filter", "postrouting", -150},
		}
	case "raw":
		return []builtin{
			{"PREROUTING", "filter", "prerouting", -300},
			{"OUTPUT", "filter", "output", -300},
		}
	case "security":
		// 150, not the kernel's NF_IP_PRI_SECURITY (50).
		return []builtin{
			{"INPUT", "filter", "input", 150},
			{"FORWARD", "filter", "forward", 150},
			{"OUTPUT", "filter", "output", 150},
		}
	}
	return nil
}

func ebtablesBuiltins(table string) []builtin {
	switch table {
	case "filter":
		return []builtin{
			{"INPUT", "filter", "input", -200},
			{"FORWARD", "filter", "forward", -200},
			{"OUTPUT", "filter", "output", -200},
		}
	case "nat":
		return []builtin{
			{"PREROUTING", "filter", "prerouting", -300},
			{"OUTPUT", "filter", "output", 100},
			{"POSTROUTING", "filter", "postrouting", 300},
		}
	case "broute":
		// From iptables 1.8.10, NF_BR_PRI_FIRST.
		return []builtin{{"BROUTING", "filter", "prerouting", math.MinInt32}}
	}
	return nil
}

// engineOf tells which program a table belongs to; the kernel does not say.
//
// It is iptables-nft's when iptables-nft makes tables of that family and name,
// every base chain is exactly one that it makes there (name, type, hook and
// priority; it makes them as they are needed), there is at least one, and the
// rules look like its own: one with an x_tables match or target proves it (nft
// cannot write those), else it must be able to have written all of them. So
// `nft add table ip filter` with chains of one's own, or with INPUT and rules
// without counters, stays nftables. A table written by nft that meets all this
// is one that iptables-nft lists and edits too.
func engineOf(t *tableNode) ruleset.Engine {
	bases := 0
	for _, c := range t.chains {
		if !c.IsBase() {
			continue
		}
		bases++
		if !isBuiltin(c.Chain, t.builtins) {
			return ruleset.NFTables
		}
	}
	if bases > 0 && (t.compat > 0 || t.foreign == 0) {
		return ruleset.IPTablesNFT
	}
	return ruleset.NFTables
}

func isBuiltin(c *ruleset.Chain, known []builtin) bool {
	for _, k := range known {
		if c.Name == k.chain {
			return c.Type == k.typ && c.Hook == k.hook && c.Priority == k.priority
		}
	}
	return false
}
