package resolve

import (
	"context"
	"errors"
	"time"

	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/model"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
)

// modelWait is how long a drop waits for the model of its namespace, where it is only
// for the cause; what takes longer goes on without it.
const modelWait = 2 * time.Second

// reading is a model that is being read.
type reading struct {
	*task
	nft    *nftables.Snapshot // that it is read of
	xt     time.Time          // the xtRead of its legacy tables
	memory *budget.Budget
	model  *model.Model // nil where it could not be read
	err    error
}

// readModel returns what the namespace's rules do; nil where they are not read
// yet, or cannot be. Like readNFT it gets no more than a fifth of the time. Patience
// is as for await.
func (r *Resolver) readModel(n *namespace, patience time.Duration) *model.Model {
	if n.model != nil && n.model.Snapshot() == n.nft && n.modelXT.Equal(n.xtRead) {
		return n.model
	}
	if n.reading == nil {
		if n.handle == nil || time.Since(n.modelRead) < n.modelPause || !r.startReading(n) {
			return nil
		}
	}
	t := n.reading
	if !r.await(t.task, patience) {
		return nil
	}
	n.reading = nil
	n.modelRead, n.modelPause = time.Now(), 4*t.took
	if n.unread = t.model == nil; n.unread {
		t.memory.Release()
		if errors.Is(t.err, budget.ErrLimit) {
			n.modelPause = limitPause
		}
		return nil
	}
	n.modelMemory.Release()
	n.model, n.modelXT, n.modelMemory = t.model, t.xt, t.memory
	if t.nft != n.nft || !t.xt.Equal(n.xtRead) {
		return nil // the rules changed meanwhile
	}
	return n.model
}

// startReading reads a model beside the drops. All that the goroutine has is its
// own or does not change. It is false where the rules themselves are not read yet.
func (r *Resolver) startReading(n *namespace) bool {
	// Drops of legacy rules do not show that nftables' have changed.
	if n.nft == nil || n.unread {
		if ok, _ := r.readNFT(n); !ok {
			return false
		}
	}
	if ids, err := xtables.Tables(n.handle); err == nil && len(ids) != len(n.xt) {
		_ = r.readXT(n)
	}
	var blobs []*xtables.Blob
	for _, t := range n.xt {
		blobs = append(blobs, t.Blob)
	}
	t := &reading{nft: n.nft, xt: n.xtRead, memory: r.memoryOf(n)}
	handle := n.handle
	t.task = r.start(n, budget.OtherTime, t.memory, func(ctx context.Context) {
		t.model, t.err = model.Read(ctx, handle, t.nft, blobs)
		t.err = limited(ctx, t.err)
	})
	n.reading = t
	return true
}
