package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/resolve/netns"
	"github.com/droptrace/droptrace/resolve/nftables"
	"github.com/droptrace/droptrace/resolve/ruleset"
	"github.com/droptrace/droptrace/resolve/xtables"
)

// rulesets is everything that filters in one network namespace, or in one set
// of files.
type rulesets struct {
	list   []*ruleset.Ruleset
	handle *netns.Handle

	nft    *nftables.Snapshot
	blobs  map[*ruleset.Table]*xtables.Blob
	texts  map[*ruleset.Table]map[*ruleset.Rule]string
	failed error // what could not be read
}

// readRulesets reads all engines of a namespace. What it could read it returns
// beside the error.
func readRulesets(ctx context.Context, h *netns.Handle) (*rulesets, error) {
	r := &rulesets{
		handle: h, blobs: make(map[*ruleset.Table]*xtables.Blob),
		texts: make(map[*ruleset.Table]map[*ruleset.Rule]string),
	}
	if err := r.readNFT(ctx, h); err != nil {
		r.failed = err
	}
	ids, err := xtables.Tables(h)
	r.failed = errors.Join(r.failed, err)
	legacy := &ruleset.Ruleset{}
	for _, id := range ids {
		b, err := xtables.Read(h, id)
		if err != nil {
			r.failed = errors.Join(r.failed, err)
			continue
		}
		r.blobs[b.Table] = b
		legacy.Tables = append(legacy.Tables, b.Table)
	}
	if len(legacy.Tables) > 0 {
		r.list = append(r.list, legacy)
	}
	return r, r.failed
}

// readNFT reads what nf_tables evaluates, its statements too.
func (r *rulesets) readNFT(ctx context.Context, h *netns.Handle) error {
	for range readTries {
		nft, err := nftables.Read(ctx, h)
		if err != nil {
			return err
		}
		model, err := nft.Model(ctx)
		if errors.Is(err, nftables.ErrChanged) {
			continue
		}
		if err != nil {
			return err
		}
		r.nft = nft
		r.list = append(r.list, model)
		return nil
	}
	return nftables.ErrChanging
}

// readTries bounds the attempts at a ruleset that changes meanwhile.
const readTries = 5

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

// text is the rule in its own program's words; the error says why it is not
// known.
func (r *rulesets) text(ctx context.Context, rule *ruleset.Rule) (string, error) {
	t := rule.Chain.Table
	b := r.blobs[t]
	switch {
	case rule.Text != "":
		return rule.Text, nil
	case b != nil:
		texts, ok := r.texts[t]
		if !ok {
			var err error
			if texts, err = xtables.Texts(ctx, r.handle, b); err != nil {
				return "", err
			}
			r.texts[t] = texts
		}
		return texts[rule], nil
	case r.nft != nil:
		if known, ok := r.nft.Rule(t.Handle, rule.Handle); ok {
			return r.nft.Text(ctx, known)
		}
	}
	return "", fmt.Errorf("text of rule %d of chain %q: nothing tells it", rule.Number, rule.Chain.Name)
}
