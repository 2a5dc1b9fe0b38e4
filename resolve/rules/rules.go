// Package rules reads everything that filters in one network namespace, or in files
// of one machine, whatever engine it is for.
//
// The readers are below it: nftables for the kernel's own, xtables for
// iptables-legacy's, iptables and ipset for the words of their programs. All read
// into the model of package ruleset, which package replay puts packets before.
package rules

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

// Rules is everything that filters in one network namespace, or in one set of
// files.
type Rules struct {
	List  []*ruleset.Ruleset
	Model *model.Model // nil for files
}

// ReadWithin is Read within the budget of a namespace; the error is ErrLimit of package
// budget where that does not suffice.
func ReadWithin(ctx context.Context, h *netns.Handle, memory *budget.Budget) (*Rules, error) {
	ctx, cancel := budget.WithTime(budget.With(ctx, memory), budget.OtherTime)
	defer cancel()
	rules, err := Read(ctx, h)
	if limit := budget.Limited(ctx, err); errors.Is(limit, budget.ErrLimit) {
		return &Rules{}, limit
	}
	return rules, err
}

// readTries bounds the attempts at rules that change meanwhile.
const readTries = 5

// Read reads all engines of a namespace. What it could read it returns
// beside the error.
func Read(ctx context.Context, h *netns.Handle) (*Rules, error) {
	for range readTries {
		nft, nftErr := nftables.Read(ctx, h)
		blobs, legacyErr := readLegacy(ctx, h)
		m, err := model.Read(ctx, h, nft, blobs)
		if errors.Is(err, nftables.ErrChanged) || errors.Is(err, xtables.ErrChanged) {
			continue
		}
		if err != nil {
			return &Rules{}, errors.Join(nftErr, legacyErr, fmt.Errorf("read rules: %w", err))
		}
		return &Rules{List: m.Rulesets, Model: m}, errors.Join(nftErr, legacyErr)
	}
	return &Rules{}, nftables.ErrChanging
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

// Size counts tables and rules.
func (r *Rules) Size() (tables, rules int) {
	for _, rs := range r.List {
		tables += len(rs.Tables)
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				rules += len(c.Rules)
			}
		}
	}
	return tables, rules
}

// Text is the rule in its own program's words, empty where they are not known.
func (r *Rules) Text(ctx context.Context, rule *ruleset.Rule) string {
	if rule.Text != "" || r.Model == nil {
		return rule.Text
	}
	return r.Model.Text(ctx, rule)
}

// WithTexts gives each rule its text while it can still be had, and takes its
// handle away: it is for copies, which will be gone, and whose handles name other
// rules in the original.
func (r *Rules) WithTexts(ctx context.Context) *ruleset.Ruleset {
	out := &ruleset.Ruleset{}
	for _, rs := range r.List {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, rule := range c.Rules {
					rule.Text = r.Text(ctx, rule)
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
