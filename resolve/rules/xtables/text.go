package xtables

import (
	"context"
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// ErrChanged is returned where the rules are no longer those of the blob.
var ErrChanged = errors.New("rules have changed since they were read")

// Texts returns the text of every rule of the blob, exactly as
// iptables-legacy-save or ip6tables-legacy-save prints it:
// `-A INPUT -p tcp -m tcp --dport 80 -j DROP`. What it holds came from whoever
// wrote the rules: escape it before a terminal.
//
// It runs that program inside the namespace, then reads the table again: a text
// is given only where the kernel still had the blob's rules after it was
// printed, else the error is [ErrChanged]. It is [ErrNoProgram] where the program
// is not installed and [ErrNoTable] where the table is gone.
func Texts(ctx context.Context, ns Namespace, b *Blob) (map[*ruleset.Rule]string, error) {
	return programs{ns: ns}.texts(ctx, b)
}

func (p programs) texts(ctx context.Context, b *Blob) (map[*ruleset.Rule]string, error) {
	if err := budget.From(ctx).Take(2 * len(b.raw)); err != nil { // no text is longer than its entry, twice
		return nil, err
	}
	texts, err := p.save(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("list iptables-legacy table %q of %s: %w", b.ID.Name, b.ID.Family, err)
	}
	same, err := Unchanged(p.ns, b)
	if err != nil {
		return nil, err
	}
	if !same {
		return nil, fmt.Errorf("list iptables-legacy table %q of %s: %w", b.ID.Name, b.ID.Family, ErrChanged)
	}
	return texts, nil
}

// save lists the table and joins the nth line of each chain to its nth rule.
func (p programs) save(ctx context.Context, b *Blob) (map[*ruleset.Rule]string, error) {
	path, err := p.saveProgram(ctx, b.ID.Family)
	if err != nil {
		return nil, err
	}
	listing, err := p.run(ctx, b.ID.listed, path, "-t", b.ID.Name)
	if err != nil {
		return nil, err
	}
	lines, err := parseSave(string(listing), b.ID.Name)
	if err != nil {
		return nil, err
	}
	return join(b.Table, lines)
}

// join gives each rule its line. It refuses lines of another number than rules,
// and chains of one name, which iptables does not make and whose lines cannot
// be told apart.
func join(t *ruleset.Table, lines map[string][]string) (map[*ruleset.Rule]string, error) {
	texts := make(map[*ruleset.Rule]string)
	seen := make(map[string]bool, len(t.Chains))
	for _, c := range t.Chains {
		found, ok := lines[c.Name]
		if !ok || len(found) != len(c.Rules) || seen[c.Name] {
			return nil, fmt.Errorf("chain %q has %d rules, %d are listed: %w",
				c.Name, len(c.Rules), len(found), ErrChanged)
		}
		seen[c.Name] = true
		for i, r := range c.Rules {
			texts[r] = found[i]
		}
	}
	if len(lines) != len(t.Chains) {
		return nil, fmt.Errorf("%d chains, %d are listed: %w", len(t.Chains), len(lines), ErrChanged)
	}
	return texts, nil
}
