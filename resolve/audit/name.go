package audit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// command is the program that owns a table's rules.
func command(t *ruleset.Table) string { return ruleset.Program(t.Engine, t.Family) }

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

// insertAbove is the command that puts a rule of the given text above another;
// empty where the text holds what a shell could read as more.
func insertAbove(r, above *ruleset.Rule, text string) string {
	c := r.Chain
	if text == "" || diagnose.OwnerOf(c, r) != "" {
		return ""
	}
	if c.Table.Engine != ruleset.NFTables {
		words := strings.Fields(text)
		if strings.ContainsAny(text, "\"'\\") || len(words) < 3 || words[0] != "-A" || words[1] != c.Name {
			return ""
		}
		return fmt.Sprintf("%s -I %s %d %s", inTable(c.Table), diagnose.Shell(c.Name), above.Number, diagnose.Shell(words[2:]...))
	}
	if above.Handle == 0 {
		return ""
	}
	return diagnose.Shell("nft", fmt.Sprintf("insert rule %s %s %s handle %d %s", c.Table.Family, c.Table.Name, c.Name, above.Handle, text))
}

// deleteRule is the command that removes a rule.
func deleteRule(r *ruleset.Rule) string {
	c := r.Chain
	if diagnose.OwnerOf(c, r) != "" {
		return ""
	}
	if c.Table.Engine != ruleset.NFTables {
		return fmt.Sprintf("%s -D %s %d", inTable(c.Table), diagnose.Shell(c.Name), r.Number)
	}
	if r.Handle == 0 {
		return ""
	}
	return diagnose.Shell("nft", "delete", "rule", c.Table.Family, c.Table.Name, c.Name, "handle", strconv.FormatUint(r.Handle, 10))
}
