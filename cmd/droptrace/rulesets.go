package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/model"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
)

// rulesets is everything that filters in one network namespace, or in one set
// of files.
type rulesets struct {
	list  []*ruleset.Ruleset
	model *model.Model // nil for files
}

// readWithin is readRulesets within the budget of a namespace.
func readWithin(ctx context.Context, h *netns.Handle, memory *budget.Budget) (*rulesets, error) {
	ctx, cancel := budget.WithTime(budget.With(ctx, memory), budget.OtherTime)
	defer cancel()
	rules, err := readRulesets(ctx, h)
	if limit := budget.Limited(ctx, err); errors.Is(limit, budget.ErrLimit) {
		return &rulesets{}, limit
	}
	return rules, err
}

// readTries bounds the attempts at rules that change meanwhile.
const readTries = 5

// readRulesets reads all engines of a namespace. What it could read it returns
// beside the error.
func readRulesets(ctx context.Context, h *netns.Handle) (*rulesets, error) {
	for range readTries {
		nft, nftErr := nftables.Read(ctx, h)
		blobs, legacyErr := readLegacy(ctx, h)
		m, err := model.Read(ctx, h, nft, blobs)
		if errors.Is(err, nftables.ErrChanged) || errors.Is(err, xtables.ErrChanged) {
			continue
		}
		if err != nil {
			return &rulesets{}, errors.Join(nftErr, legacyErr, fmt.Errorf("read rules: %w", err))
		}
		return &rulesets{list: m.Rulesets, model: m}, errors.Join(nftErr, legacyErr)
	}
	return &rulesets{}, nftables.ErrChanging
}

func readLegacy(ctx context.Context, h *netns.Handle) ([]*xtables.Blob, error) {
	ids, failed := xtables.Tables(h)
	var blobs []*xtables.Blob
	for _, id := range ids {
		b, err := xtables.ReadWithin(budget.From(ctx), h, id)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		blobs = append(blobs, b)
	}
	return blobs, failed
}

// size counts tables and rules.
func (r *rulesets) size() (tables, rules int) {
	for _, rs := range r.list {
		tables += len(rs.Tables)
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				rules += len(c.Rules)
			}
		}
	}
	return tables, rules
}

// text is the rule in its own program's words, empty where they are not known.
func (r *rulesets) text(ctx context.Context, rule *ruleset.Rule) string {
	if rule.Text != "" || r.model == nil {
		return rule.Text
	}
	return r.model.Text(ctx, rule)
}

// withTexts gives each rule its text while it can still be had, and takes its
// handle away: it is for copies, which will be gone, and whose handles name other
// rules in the original.
func (r *rulesets) withTexts(ctx context.Context) *ruleset.Ruleset {
	out := &ruleset.Ruleset{}
	for _, rs := range r.list {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, rule := range c.Rules {
					rule.Text = r.text(ctx, rule)
				}
				for _, rule := range c.Rules {
					rule.Handle = 0
				}
			}
		}
		out.Tables = append(out.Tables, rs.Tables...)
	}
	return out
}
