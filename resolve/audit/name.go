package audit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/ruleset"
)

// command is the program that owns a table's rules.
func command(t *ruleset.Table) string {
	suffix := ""
	switch t.Engine {
	case ruleset.IPTablesNFT:
		suffix = "-nft"
	case ruleset.IPTablesLegacy:
		suffix = "-legacy"
	default:
		return "nft"
	}
	switch t.Family {
	case "ip6":
		return "ip6tables" + suffix
	case "arp":
		return "arptables" + suffix
	case "bridge":
		return "ebtables" + suffix
	}
	return "iptables" + suffix
}

// tableName is a table with all that is needed to find it.
func tableName(t *ruleset.Table) string {
	if t.Engine == ruleset.NFTables {
		return "nft " + t.Family + " " + t.Name
	}
	return command(t) + " " + t.Name
}

func chainName(c *ruleset.Chain) string { return tableName(c.Table) + " " + c.Name }

// ruleName is a rule's place in its chain, as the live command tells it.
func ruleName(r *ruleset.Rule) string {
	name := "rule " + strconv.Itoa(r.Number)
	if r.Handle != 0 {
		name += " (handle " + strconv.FormatUint(r.Handle, 10) + ")"
	}
	return name
}

// inTable is how the iptables family is told the table.
func inTable(t *ruleset.Table) string {
	if t.Name == "filter" {
		return command(t)
	}
	return command(t) + " -t " + t.Name
}

// insertAbove is the command that puts a rule of the given text above another.
func insertAbove(r, above *ruleset.Rule, text string) string {
	if text == "" {
		return ""
	}
	t := r.Chain.Table
	if t.Engine != ruleset.NFTables {
		spec, ok := strings.CutPrefix(text, "-A "+r.Chain.Name+" ")
		if !ok {
			return ""
		}
		return fmt.Sprintf("%s -I %s %d %s", inTable(t), r.Chain.Name, above.Number, spec)
	}
	if above.Handle == 0 {
		return ""
	}
	return fmt.Sprintf("nft insert rule %s %s %s handle %d %s", t.Family, t.Name, r.Chain.Name, above.Handle, text)
}

// deleteRule is the command that removes a rule.
func deleteRule(r *ruleset.Rule) string {
	t := r.Chain.Table
	if t.Engine != ruleset.NFTables {
		return fmt.Sprintf("%s -D %s %d", inTable(t), r.Chain.Name, r.Number)
	}
	if r.Handle == 0 {
		return ""
	}
	return fmt.Sprintf("nft delete rule %s %s %s handle %d", t.Family, t.Name, r.Chain.Name, r.Handle)
}
