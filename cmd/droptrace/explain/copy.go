package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/scratch"
)

// load puts the subject's rules into the copy.
func (s *subject) load(ctx context.Context, n *scratch.Namespace) error {
	if s.handle == nil {
		return loadFiles(ctx, n, s.files)
	}
	if asksIPSets(s.rules.List) {
		text, err := runIn(ctx, s.handle, "ipset", "save")
		if err != nil {
			return err
		}
		if err := n.LoadIPSets(ctx, string(text)); err != nil {
			return err
		}
	}
	var native strings.Builder
	for _, rs := range s.rules.List {
		for _, t := range rs.Tables {
			if t.Engine == ruleset.NFTables {
				text, err := runIn(ctx, s.handle, "nft", "list", "table", t.Family, t.Name)
				if err != nil {
					return err
				}
				native.Write(text)
				continue
			}
			if err := s.loadTable(ctx, n, t); err != nil {
				return err
			}
		}
	}
	if native.Len() == 0 {
		return nil
	}
	return n.LoadNFT(ctx, native.String())
}

// asksIPSets reports whether a rule asks for an ipset. Where none does ipset is not
// run: it would bring its module into the kernel.
func asksIPSets(list []*ruleset.Ruleset) bool {
	for _, rs := range list {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					if asksIPSet(r.Statements) {
						return true
					}
				}
			}
		}
	}
	return false
}

func asksIPSet(list []ruleset.Statement) bool {
	for _, s := range list {
		switch s := s.(type) {
		case *ruleset.Match:
			if s.Set != nil && s.Set.IPSet != "" {
				return true
			}
		case *ruleset.Any:
			if slices.ContainsFunc(s.Of, asksIPSet) {
				return true
			}
		}
	}
	return false
}

// loadTable copies a table that iptables owns.
func (s *subject) loadTable(ctx context.Context, n *scratch.Namespace, t *ruleset.Table) error {
	name := map[string]string{"ip": "iptables", "ip6": "ip6tables"}[t.Family]
	if name == "" {
		return nil // arp and bridge: not what is asked about
	}
	if t.Engine == ruleset.IPTablesLegacy {
		name += "-legacy-save"
	} else {
		name += "-nft-save"
	}
	text, err := runIn(ctx, s.handle, name, "-t", t.Name)
	if err != nil {
		return err
	}
	return n.LoadIPTables(ctx, t.Engine, t.Family, string(text))
}

// loadFiles loads what files hold, as the subject was read from them.
func loadFiles(ctx context.Context, n *scratch.Namespace, files []string) error {
	for _, name := range files {
		l, text, err := rules.ReadFile(name)
		if err != nil {
			return err
		}
		if l == rules.ListedByNFT {
			if err := n.LoadNFT(ctx, string(text)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		rs, err := rules.ParseSaved(name, text)
		if err != nil {
			return err
		}
		t := rs.Tables[0]
		if err := n.LoadIPTables(ctx, t.Engine, t.Family, string(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
