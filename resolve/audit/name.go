package audit

import (
	"strconv"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// command is the program that owns a table's rules.
func command(t *ruleset.Table) string { return ruleset.Program(t.Engine, t.Family) }

// insertAbove is the command that puts a rule of the given text above another;
// empty where there is none. named is false where a name in it is the cause.
func insertAbove(r, above *ruleset.Rule, text string) (command string, named bool) {
	c := r.Chain
	if text == "" || diagnose.OwnerOf(c, r) != "" {
		return "", true
	}
	if c.Table.Engine != ruleset.NFTables {
		args, ok := diagnose.IPTablesArgs(r, text)
		if !ok {
			return "", true
		}
		return iptablesLine(c, "-I", append([]string{strconv.Itoa(above.Number)}, args...)...)
	}
	statement, ok := diagnose.NFTStatement(r, text)
	if !ok || above.Handle == 0 {
		return "", true
	}
	return nftLine("insert", c, above.Handle, statement)
}

// deleteRule is the command that removes a rule.
func deleteRule(r *ruleset.Rule) (command string, named bool) {
	c := r.Chain
	switch {
	case diagnose.OwnerOf(c, r) != "":
		return "", true
	case c.Table.Engine != ruleset.NFTables:
		return iptablesLine(c, "-D", strconv.Itoa(r.Number))
	case r.Handle == 0:
		return "", true
	}
	return nftLine("delete", c, r.Handle, "")
}

// iptablesLine is a command for a chain; named is false where there is none for a name
// in it.
func iptablesLine(c *ruleset.Chain, verb string, rest ...string) (line string, named bool) {
	words, ok := ruleset.IPTablesWords(command(c.Table), c.Table, verb, c.Name)
	if !ok {
		return "", false
	}
	line = diagnose.Shell(append(words, rest...)...)
	return line, line != ""
}

// nftLine is a command for a rule of a chain, or with a handle one beside it.
func nftLine(verb string, c *ruleset.Chain, handle uint64, statement string) (command string, named bool) {
	where := ""
	if handle != 0 {
		where = "handle " + strconv.FormatUint(handle, 10)
	}
	words, ok := diagnose.NFTRule(verb, c, where, statement)
	if !ok {
		return "", false
	}
	line := diagnose.Shell(words...)
	return line, line != ""
}

// mend gives the finding its command, or says why there is none.
func (f *Finding) mend(command string, named bool) {
	f.Fix = command
	if !named {
		f.Message += diagnose.Unnamed
	}
}
