// Package model reads all that filters in one network namespace, of whatever
// engine, with what its rules do.
//
// nf_tables rules come from the kernel, and what iptables-nft and iptables-legacy made
// from the words of their save programs, which are held against the kernel's rules one
// by one.
package model

import (
	"context"
	"slices"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/ipset"
	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
)

// Model is what was read. It does not change.
type Model struct {
	// Rulesets has nftables' first, then iptables-legacy's.
	Rulesets []*ruleset.Ruleset

	nft    *nftables.Snapshot
	legacy map[xtables.TableID]*ruleset.Table
	sets   ipset.Sets
	asked  bool // for sets

	firewall *replay.Firewall
}

// Snapshot is the nftables snapshot that the model was made from, nil for none.
func (m *Model) Snapshot() *nftables.Snapshot { return m.nft }

// Firewall is the model ready for replay.
func (m *Model) Firewall() *replay.Firewall { return m.firewall }

// reader has what reading needs.
type reader struct {
	*Model
	ctx context.Context
	ns  *netns.Handle
}

// Read reads a model of a snapshot of nftables, which may be nil, and of legacy
// tables. A rule whose meaning could not be had is in it unread, or as
// [ruleset.Opaque]: never left out.
//
// The errors are those of [nftables.Snapshot.Model] and [xtables.Texts];
// [nftables.ErrChanged] and [xtables.ErrChanged] ask for new ones of both.
func Read(ctx context.Context, ns *netns.Handle, nft *nftables.Snapshot, legacy []*xtables.Blob) (*Model, error) {
	r := reader{Model: &Model{nft: nft, legacy: make(map[xtables.TableID]*ruleset.Table)}, ctx: ctx, ns: ns}
	if nft != nil {
		rs, err := nft.Model(ctx)
		if err != nil {
			return nil, err
		}
		r.Rulesets = append(r.Rulesets, rs)
	}
	old := &ruleset.Ruleset{}
	for _, b := range legacy {
		t, err := r.table(b)
		if err != nil {
			return nil, err
		}
		r.legacy[b.ID] = t
		old.Tables = append(old.Tables, t)
	}
	if len(old.Tables) > 0 {
		r.Rulesets = append(r.Rulesets, old)
	}
	r.firewall = replay.New(r.Rulesets...)
	return r.Model, nil
}

// table is a legacy table with what its rules do. A rule whose words are not
// understood stays unread.
func (r *reader) table(b *xtables.Blob) (*ruleset.Table, error) {
	texts, err := xtables.Texts(r.ctx, r.ns, b)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, text := range texts {
		lines = append(lines, text)
	}
	if slices.ContainsFunc(lines, iptables.NamesSet) {
		r.readSets()
	}
	t := iptables.Copy(b.Table)
	xtables.Count(b, t)
	words := iptables.NewReader(t, r.sets, iptables.Filled(slices.Values(lines)))
	for i, c := range t.Chains {
		for j, rule := range c.Rules {
			rule.Text = texts[b.Table.Chains[i].Rules[j]]
			_ = words.Read(rule, rule.Text, nil)
		}
	}
	return t, nil
}

// readSets reads the ipsets once a rule asks for one; without them it is not
// known what they hold.
func (r *reader) readSets() {
	if !r.asked {
		r.asked = true
		r.sets, _ = ipset.Read(r.ctx, r.ns)
	}
}

func chainNamed(t *ruleset.Table, name string) *ruleset.Chain {
	for _, c := range t.Chains {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Chain is the model's own of a chain of the snapshot or of a legacy table that
// it was read from; nil where it has none.
func (m *Model) Chain(c *ruleset.Chain) *ruleset.Chain {
	if c == nil {
		return nil
	}
	for _, rs := range m.Rulesets {
		for _, t := range rs.Tables {
			if t.Engine != c.Table.Engine || t.Family != c.Table.Family || t.Name != c.Table.Name || t.Handle != c.Table.Handle {
				continue
			}
			if found := chainNamed(t, c.Name); found != nil && found.Handle == c.Handle {
				return found
			}
		}
	}
	return nil
}

// Rule is the model's own of a rule, as Chain.
func (m *Model) Rule(r *ruleset.Rule) *ruleset.Rule {
	if r == nil {
		return nil
	}
	c := m.Chain(r.Chain)
	if c == nil || r.Number < 1 || r.Number > len(c.Rules) {
		return nil
	}
	if found := c.Rules[r.Number-1]; found.Handle == r.Handle {
		return found
	}
	return nil
}

// Text is a rule of the model as its own program prints it, "" where that cannot
// be had any more.
func (m *Model) Text(ctx context.Context, r *ruleset.Rule) string {
	if r.Text != "" || m.nft == nil {
		return r.Text
	}
	own, ok := m.nft.Rule(r.Chain.Table.Handle, r.Handle)
	if !ok {
		return ""
	}
	text, err := m.nft.Text(ctx, own)
	if err != nil {
		return ""
	}
	return text
}
