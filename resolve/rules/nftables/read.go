package nftables

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droptrace/droptrace/resolve/host/module"
)

var (
	// ErrChanging is returned by Read when the ruleset changed each time it
	// was read.
	ErrChanging = errors.New("nftables ruleset keeps changing")

	// ErrChanged is returned where the ruleset is no longer the one that the
	// snapshot was taken of: read again.
	ErrChanged = errors.New("nftables ruleset has changed since it was read")
)

const (
	readAttempts = 6
	// readPause grows with each attempt: 150 ms in all, against programs that
	// load their ruleset in several transactions.
	readPause = 10 * time.Millisecond
)

// Read takes a snapshot of the namespace's ruleset. Where nf_tables is not in
// the kernel the snapshot is empty, and it stays out.
//
// A ruleset that changed while it was read is read again; after several times
// the error is ErrChanging. Without CAP_NET_ADMIN the error is
// os.ErrPermission.
func Read(ctx context.Context, ns Namespace) (*Snapshot, error) {
	root := module.Files("/")
	ok, err := root.InKernel("nf_tables", "nft_do_chain")
	if err != nil {
		return nil, err
	}
	if !ok {
		return newSnapshot(ns, 0, nil), nil
	}
	c := &conn{ns: ns}
	defer c.close()

	for attempt := range readAttempts {
		if err := pause(ctx, time.Duration(attempt)*readPause); err != nil {
			return nil, fmt.Errorf("read nftables ruleset: %w", err)
		}
		gen, tables, err := readOnce(ctx, c)
		if errors.Is(err, errInterrupted) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read nftables ruleset: %w", err)
		}
		return newSnapshot(ns, gen, tables), nil
	}
	return nil, ErrChanging
}

// readOnce reads everything between two looks at the generation.
func readOnce(ctx context.Context, src source) (uint32, []*tableNode, error) {
	before, err := src.generation(ctx)
	if err != nil {
		return 0, nil, err
	}
	if err := src.settle(ctx, before); err != nil {
		return 0, nil, err
	}
	b, err := build(ctx, src)
	if err != nil {
		return 0, nil, err
	}
	after, err := src.generation(ctx)
	if err != nil {
		return 0, nil, err
	}
	if before != after {
		return 0, nil, errInterrupted
	}
	return before, b.tables, nil
}

// Generation asks for the generation of the namespace's ruleset (base_seq),
// which grows with each change that a program makes; elements that packets add
// to a set do not count. It is 0 where nf_tables is not in the kernel.
func Generation(ctx context.Context, ns Namespace) (uint32, error) {
	root := module.Files("/")
	if ok, err := root.InKernel("nf_tables", "nft_do_chain"); err != nil || !ok {
		return 0, err
	}
	c := &conn{ns: ns}
	defer c.close()
	return c.generation(ctx)
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
