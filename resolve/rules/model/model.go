// Package model reads all that filters in one network namespace, of whatever
// engine, with what its rules do.
//
// nf_tables rules come from the kernel. Those that hold x_tables code, and all of
// iptables-legacy, come from the words of the save programs, which are held
// against the kernel's rules one by one.
package model

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
		for i, t := range rs.Tables {
			if err := r.compat(t, nft.Ruleset().Tables[i]); err != nil {
				return nil, err
			}
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

// compat gives the rules of iptables-nft that hold x_tables code their meaning.
// from is the same table of the snapshot.
func (r *reader) compat(t, from *ruleset.Table) error {
	if t.Engine != ruleset.IPTablesNFT || t.Family != "ip" && t.Family != "ip6" || !hasCompat(t) {
		return nil
	}
	texts := make([][]string, len(from.Chains))
	for i, c := range from.Chains {
		if len(c.Rules) == 0 {
			continue
		}
		lines, err := r.nft.Texts(r.ctx, c)
		if errors.Is(err, nftables.ErrChanged) || r.ctx.Err() != nil {
			return fmt.Errorf("read iptables-nft table %q: %w", t.Name, err)
		}
		if err != nil {
			return nil // what x_tables code does stays Opaque
		}
		texts[i] = lines
	}
	words := r.parse(t, texts)
	if words == nil {
		return nil
	}
	chains := byName(t)
	for i, c := range t.Chains {
		spoken := chainNamed(words, c.Name)
		if spoken == nil || len(spoken.Rules) != len(c.Rules) {
			continue
		}
		for j, rule := range c.Rules {
			rule.Text = texts[i][j]
			if rule.Compat && spoken.Rules[j].Read {
				rule.Statements = lead(spoken.Rules[j].Statements, chains)
				if rule.Comment == "" {
					rule.Comment = spoken.Rules[j].Comment
				}
			}
		}
	}
	return nil
}

func hasCompat(t *ruleset.Table) bool {
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if r.Compat {
				return true
			}
		}
	}
	return false
}

// table is a legacy table with what its rules do.
func (r *reader) table(b *xtables.Blob) (*ruleset.Table, error) {
	byRule, err := xtables.Texts(r.ctx, r.ns, b)
	if err != nil {
		return nil, err
	}
	t := iptables.Copy(b.Table)
	xtables.Count(b, t)
	texts := make([][]string, len(t.Chains))
	for i, c := range b.Table.Chains {
		for _, rule := range c.Rules {
			texts[i] = append(texts[i], byRule[rule])
		}
	}
	words := r.parse(t, texts)
	if words == nil {
		return t, nil
	}
	chains := byName(t)
	for i, c := range t.Chains {
		spoken := chainNamed(words, c.Name)
		if spoken == nil || len(spoken.Rules) != len(c.Rules) {
			continue
		}
		for j, rule := range c.Rules {
			rule.Text, rule.Comment = texts[i][j], spoken.Rules[j].Comment
			rule.Statements, rule.Read = lead(spoken.Rules[j].Statements, chains), spoken.Rules[j].Read
		}
	}
	return t, nil
}

// parse has package iptables read the rules' texts; nil where it cannot.
func (r *reader) parse(t *ruleset.Table, texts [][]string) *ruleset.Table {
	var file strings.Builder
	size := 0
	for _, lines := range texts {
		for _, line := range lines {
			size += len(line) + 1
		}
	}
	file.Grow(size + len(t.Chains)*64)
	fmt.Fprintf(&file, "*%s\n", t.Name)
	for _, c := range t.Chains {
		policy := "-"
		if c.Policy != "" {
			policy = strings.ToUpper(c.Policy)
		}
		fmt.Fprintf(&file, ":%s %s [0:0]\n", c.Name, policy)
	}
	for _, lines := range texts {
		for _, line := range lines {
			if strings.ContainsRune(line, '\n') {
				return nil
			}
			if strings.Contains(line, "--match-set ") {
				r.readSets()
			}
			file.WriteString(line)
			file.WriteByte('\n')
		}
	}
	file.WriteString("COMMIT\n")
	rs, err := iptables.Parse(strings.NewReader(file.String()), iptables.Options{Family: t.Family, Engine: t.Engine, Sets: r.sets})
	if err != nil || len(rs.Tables) != 1 {
		return nil
	}
	return rs.Tables[0]
}

// readSets reads the ipsets once a rule asks for one; without them it is not
// known what they hold.
func (r *reader) readSets() {
	if !r.asked {
		r.asked = true
		r.sets, _ = ipset.Read(r.ctx, r.ns)
	}
}

// lead has jumps lead to the chains of the model.
func lead(statements []ruleset.Statement, chains map[string]*ruleset.Chain) []ruleset.Statement {
	for i, s := range statements {
		if v, ok := s.(*ruleset.Verdict); ok && v.Target != nil {
			led := *v
			led.Target = chains[v.Target.Name]
			statements[i] = &led
		}
	}
	return statements
}

func byName(t *ruleset.Table) map[string]*ruleset.Chain {
	m := make(map[string]*ruleset.Chain, len(t.Chains))
	for _, c := range t.Chains {
		m[c.Name] = c
	}
	return m
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
