package resolve

import (
	"context"

	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/model"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
)

// textReading is the texts of a chain that are being read.
type textReading struct {
	*task
	of  *nftables.Snapshot
	err error
}

// textOf is a rule's text as its own program prints it, which has to run.
func (r *Resolver) textOf(n *namespace, s *nftables.Snapshot, rule *ruleset.Rule) (string, error) {
	if text, known, err := s.KnownText(rule); known {
		return text, err
	}
	t := n.texts[rule.Chain]
	if t == nil {
		t = &textReading{of: s}
		chain := rule.Chain
		t.task = r.start(n, budget.OtherTime, n.nftMemory, func(ctx context.Context) {
			_, t.err = s.Texts(ctx, chain)
			t.err = limited(ctx, t.err)
		})
		if n.texts == nil {
			n.texts = make(map[*ruleset.Chain]*textReading)
		}
		n.texts[chain] = t
	}
	if !r.await(t.task, MaxHold) {
		return "", errReading
	}
	delete(n.texts, rule.Chain)
	if text, known, err := s.KnownText(rule); known {
		return text, err
	}
	return "", t.err
}

// modelText is the text of a rule of the model, "" where that cannot be had.
func (r *Resolver) modelText(n *namespace, m *model.Model, rule *ruleset.Rule) string {
	s := m.Snapshot()
	if rule.Text != "" || s == nil {
		return rule.Text
	}
	own, ok := s.Rule(rule.Chain.Table.Handle, rule.Handle)
	if !ok {
		return ""
	}
	text, _ := r.textOf(n, s, own)
	return text
}

// xtText is the text of a legacy rule; the save program runs once a table.
func (r *Resolver) xtText(n *namespace, t *xtTable, rule *ruleset.Rule) (string, error) {
	if t.read {
		return t.texts[rule], t.err
	}
	if t.reading == nil {
		handle, blob := n.handle, t.Blob
		t.reading = r.start(n, budget.OtherTime, n.xtMemory, func(ctx context.Context) {
			t.texts, t.err = xtables.Texts(ctx, handle, blob)
			t.err = limited(ctx, t.err)
		})
	}
	if !r.await(t.reading, MaxHold) {
		return "", errReading
	}
	t.read, t.reading = true, nil
	return t.texts[rule], t.err
}
