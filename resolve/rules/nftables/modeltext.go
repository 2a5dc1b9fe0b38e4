package nftables

import (
	"context"
	"errors"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ipset"
	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// readTexts gives the rules of iptables-nft's tables the statements of their
// text, which tells what x_tables' code in them does and is in the words that
// iptables' users know. Where there is no text, and for rules that nft added to
// such a table, the statements of the bytecode stay.
func (s *Snapshot) readTexts(ctx context.Context, rules *ruleset.Ruleset) error {
	texts := make(map[*ruleset.Table][][]string)
	var all []string
	for i, t := range rules.Tables {
		if t.Engine != ruleset.IPTablesNFT || t.Family != "ip" && t.Family != "ip6" {
			continue
		}
		lines, err := s.tableTexts(ctx, s.rules.Tables[i])
		if err != nil {
			return err
		}
		texts[t] = lines
		all = append(all, slices.Concat(lines...)...)
	}
	var sets ipset.Sets
	if slices.ContainsFunc(all, iptables.NamesSet) {
		var err error
		if sets, err = ipset.Read(ctx, s.texts.ns); err != nil {
			return err
		}
	}
	filled := iptables.Filled(slices.Values(all))
	for t, lines := range texts {
		fillTexts(t, lines, iptables.NewReader(t, sets, filled))
	}
	return nil
}

// tableTexts are the texts of the rules by chain, nil for a chain that has none.
func (s *Snapshot) tableTexts(ctx context.Context, t *ruleset.Table) ([][]string, error) {
	texts := make([][]string, len(t.Chains))
	for i, c := range t.Chains {
		if len(c.Rules) == 0 {
			continue
		}
		lines, err := s.Texts(ctx, c)
		switch {
		case errors.Is(err, ErrChanged) || ctx.Err() != nil:
			return nil, err
		case err == nil:
			texts[i] = lines
		}
	}
	return texts, nil
}

func fillTexts(t *ruleset.Table, texts [][]string, reader *iptables.Reader) {
	for i, lines := range texts {
		for j, text := range lines {
			r := t.Chains[i].Rules[j]
			r.Text = text
			code := compatNames(r)
			// On an error it is one of nft's, or not understood.
			_ = reader.Read(r, text, func(match string) bool { return slices.Contains(code, match) })
		}
	}
}

// compatNames are the x_tables extensions in the rule's bytecode.
func compatNames(r *ruleset.Rule) (names []string) {
	if !r.Compat {
		return nil
	}
	for _, s := range r.Statements {
		if o, ok := s.(*ruleset.Opaque); ok && !o.Understood {
			names = append(names, o.Kind)
		}
	}
	return names
}
