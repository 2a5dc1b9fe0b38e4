package nftables

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// texts are the rules' texts as far as they were asked for. They belong to the
// snapshot's generation, so that they are good as long as the snapshot is.
type texts struct {
	programs
	generation uint32
	// running lets one program run at a time; a channel, so that waiting for it
	// can be cancelled.
	running chan struct{}

	mu      sync.Mutex
	byChain map[*ruleset.Chain]chainTexts
	changed bool // generations do not come back
}

// chainTexts is the outcome of asking for a chain; its error is one that asking
// again would not mend.
type chainTexts struct {
	lines []string
	err   error
}

func newTexts(ns Namespace, generation uint32) *texts {
	return &texts{
		programs:   programs{ns: ns},
		generation: generation,
		running:    make(chan struct{}, 1),
		byChain:    make(map[*ruleset.Chain]chainTexts),
	}
}

// Text is the rule on one line, as its engine's own program shows it: of
// iptables-nft "-A INPUT -p tcp -m tcp --dport 80 -j DROP", of nftables
// "tcp dport 80 counter drop". Counters and handles are left out. What the
// text holds came from whoever wrote the rule: escape it before a terminal.
//
// The error is ErrChanged where the ruleset is no longer the snapshot's, and
// ErrNoProgram where nft is not installed.
func (s *Snapshot) Text(ctx context.Context, r *ruleset.Rule) (string, error) {
	lines, err := s.Texts(ctx, r.Chain)
	if err != nil {
		return "", err
	}
	// Texts made sure that the lines are the chain's rules.
	return lines[r.Number-1], nil
}

// Texts are the texts of the chain's rules, in order: see Text. The first call
// for a chain runs a program, which takes milliseconds; the slice is shared and
// must not be changed.
func (s *Snapshot) Texts(ctx context.Context, c *ruleset.Chain) ([]string, error) {
	node, ok := s.nodes[c]
	if !ok {
		return nil, fmt.Errorf("chain %q is not of this snapshot", c.Name)
	}
	if t, ok := s.texts.known(c); ok {
		return t.lines, t.err
	}
	select {
	case s.texts.running <- struct{}{}:
		defer func() { <-s.texts.running }()
	case <-ctx.Done():
		return nil, fmt.Errorf("list chain %q: %w", c.Name, ctx.Err())
	}
	// Another caller may have fetched it meanwhile.
	if t, ok := s.texts.known(c); ok {
		return t.lines, t.err
	}
	if err := s.fetch(ctx, node); err != nil {
		return nil, fmt.Errorf("list chain %s %q %q: %w", c.Table.Family, c.Table.Name, c.Name, err)
	}
	t, _ := s.texts.known(c)
	return t.lines, t.err
}

// KnownText is Text for a rule whose chain's texts were asked for before: known is
// false where they were not.
func (s *Snapshot) KnownText(r *ruleset.Rule) (text string, known bool, err error) {
	t, known := s.texts.known(r.Chain)
	if !known || t.err != nil {
		return "", known, t.err
	}
	return t.lines[r.Number-1], true, nil
}

func (t *texts) known(c *ruleset.Chain) (chainTexts, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.byChain[c]; ok {
		return known, true
	}
	return chainTexts{err: ErrChanged}, t.changed
}

// fetch lists the chain between two looks at the generation. Only what was
// printed while the ruleset was the snapshot's is kept.
func (s *Snapshot) fetch(ctx context.Context, c *chainNode) error {
	if err := s.texts.current(ctx); err != nil {
		return err
	}
	found, err := s.list(ctx, c)
	if err := s.texts.current(ctx); err != nil {
		return err
	}
	if err := budget.From(ctx).Take(sizeOf(found)); err != nil {
		found = nil
		s.texts.keep(c.Chain, chainTexts{err: err})
	}
	s.texts.mu.Lock()
	defer s.texts.mu.Unlock()
	for chain, lines := range found {
		s.texts.byChain[chain] = chainTexts{lines: lines}
	}
	if _, ok := found[c.Chain]; ok {
		return nil
	}
	// A program that was too slow will be so again: nft takes more than 5 s for
	// a chain of 100,000 rules.
	tooSlow := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
	if errors.Is(err, ErrNoProgram) || errors.Is(err, errListing) || tooSlow {
		s.texts.byChain[c.Chain] = chainTexts{err: err}
	}
	return err
}

func (t *texts) keep(c *ruleset.Chain, found chainTexts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byChain[c] = found
}

// sizeOf is what the lines take, in bytes.
func sizeOf(found map[*ruleset.Chain][]string) (n int) {
	for _, lines := range found {
		for _, l := range lines {
			n += 2*len(l) + 64 // the parser's part of a larger string is kept, too
		}
	}
	return n
}

// current reports ErrChanged unless the kernel has the snapshot's generation.
func (t *texts) current(ctx context.Context) error {
	gen, err := Generation(ctx, t.ns)
	if err != nil {
		return err
	}
	if gen != t.generation {
		t.mu.Lock()
		t.changed = true
		t.mu.Unlock()
		return ErrChanged
	}
	return nil
}

// list asks the program that the user of the table would ask, and nft for what
// that one does not show. Its error is nil only if the chain is among what it
// found.
func (s *Snapshot) list(ctx context.Context, c *chainNode) (map[*ruleset.Chain][]string, error) {
	if c.table.Engine != ruleset.IPTablesNFT {
		found, err := s.listNFT(ctx, c)
		// A listing of everything has iptables' chains too, in nft's words.
		maps.DeleteFunc(found, func(other *ruleset.Chain, _ []string) bool {
			return other.Table.Engine == ruleset.IPTablesNFT
		})
		return found, err
	}
	found, saveErr := s.texts.save(ctx, c.table)
	if ctx.Err() != nil {
		return nil, saveErr
	}
	saved, ok := found[c.Chain]
	maps.DeleteFunc(found, func(other *ruleset.Chain, _ []string) bool {
		return len(s.nodes[other].foreign) > 0
	})
	if ok && len(c.foreign) == 0 {
		return found, nil
	}
	listed, err := s.listNFT(ctx, c)
	switch {
	case errors.Is(err, ErrNoProgram) && saveErr != nil && !errors.Is(saveErr, errWouldLoad):
		return nil, saveErr
	case err != nil:
		return nil, err
	case ok:
		return map[*ruleset.Chain][]string{c.Chain: c.mix(saved, listed[c.Chain])}, nil
	}
	return map[*ruleset.Chain][]string{c.Chain: listed[c.Chain]}, nil
}

// mix takes iptables' text of the rules that iptables wrote, and nft's of those
// that were added to the chain by other means: iptables shows such wrong.
func (c *chainNode) mix(saved, listed []string) []string {
	mixed := make([]string, len(c.Rules))
	for i, r := range c.Rules {
		mixed[i] = saved[i]
		if c.foreign[r] {
			mixed[i] = listed[i]
		}
	}
	return mixed
}
