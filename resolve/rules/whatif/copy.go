package whatif

import (
	"context"
	"fmt"

	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/scratch"
)

// load puts the rules into the copy.
func (r *Rules) load(ctx context.Context, n *scratch.Namespace) error {
	if r.Handle == nil {
		return loadFiles(ctx, n, r.Files)
	}
	if !r.Own {
		// Reading the rules kept none of the large sets; a copy has all of them.
		ctx = budget.With(ctx, budget.Of(false, nil))
	}
	return n.Copy(ctx, r.Handle, r.List)
}

// loadFiles loads what files hold, as they were read from them.
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
