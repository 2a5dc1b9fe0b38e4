package nftables

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// listNFT lists the chain with nft, in the form of `nft -a list ruleset` but
// for the numbers of counters (-s, since nft 0.9).
func (s *Snapshot) listNFT(ctx context.Context, c *chainNode) (map[*ruleset.Chain][]string, error) {
	nft, err := s.texts.Find("nft")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoProgram, err)
	}
	// nft does not list a bound chain but inside the rule that has it.
	for c.bound {
		if c.jumper == nil {
			return nil, fmt.Errorf("nothing jumps to it: %w", errListing)
		}
		c = s.nodes[c.jumper.Chain]
	}
	err = errListing
	var found map[*ruleset.Chain][]string
	list := func(want *chainNode, args ...string) error {
		j := &joiner{s: s, want: want, found: make(map[*ruleset.Chain][]string), tables: make(map[uint64]bool)}
		err := s.texts.run(ctx, func(r io.Reader) error { return parseListing(r, j.add) }, nft, append([]string{"-a", "-s", "list"}, args...)...)
		if err == nil {
			found = j.found
		}
		return err
	}
	if ruleset.PlainName(c.table.Name) && ruleset.PlainName(c.Name) {
		err = list(c, "chain", c.table.Family, c.table.Name, c.Name)
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		// A name that nft's grammar takes for something else: no quoting
		// helps there, but the whole ruleset needs no name.
		err = list(nil, "ruleset")
	}
	if _, ok := found[c.Chain]; !ok && err == nil {
		err = fmt.Errorf("not listed: %w", errListing)
	}
	if errors.Is(err, errListing) {
		err = s.texts.otherVersion(ctx, nft, err)
	}
	return found, err
}
