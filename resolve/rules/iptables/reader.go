package iptables

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ipset"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Reader gives rules that were read from the kernel the statements of their
// text.
type Reader struct{ table *table }

// NewReader makes a reader for the rules of a table. sets are the namespace's
// ipsets, filled those that [Filled] names; both may be nil.
func NewReader(t *ruleset.Table, sets ipset.Sets, filled map[string]bool) *Reader {
	return &Reader{table: newTable(t, sets, filled)}
}

// Read sets the rule's text, statements and comment from its line as iptables-save prints
// it. What the kernel told of the rule stays. compat tells which of the rule's
// matches x_tables' code evaluates, where nf_tables could; it is not asked for
// iptables-legacy. On an error, [ErrSyntax] or [ErrNoChain], the rule is as it
// was.
func (r *Reader) Read(rule *ruleset.Rule, text string, compat func(match string) bool) error {
	rest, ok := strings.CutPrefix(text, "-A ")
	if !ok {
		return fmt.Errorf("%q is no rule of iptables-save: %w", clip(text), ErrSyntax)
	}
	words, err := splitSave(rest)
	if err != nil {
		return err
	}
	if len(words) == 0 || words[0].text != rule.Chain.Name {
		return fmt.Errorf("%q is no rule of chain %q: %w", clip(text), rule.Chain.Name, ErrSyntax)
	}
	r.table.compat = compat
	read, _, err := r.table.rule(words[1:])
	if err != nil {
		return err
	}
	rule.Statements, rule.Read, rule.Text = read.Statements, true, text
	if rule.Comment == "" {
		rule.Comment = read.Comment
	}
	return nil
}

// NamesSet reports whether the text of a rule asks an ipset.
func NamesSet(text string) bool {
	return strings.Contains(text, " --match-set ") || strings.Contains(text, " --set ")
}
