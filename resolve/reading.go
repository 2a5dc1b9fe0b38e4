package resolve

import (
	"context"
	"time"

	"github.com/droptrace/droptrace/resolve/rules/model"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
)

const (
	// modelWait is how long a drop waits for the model of its namespace; what
	// takes longer goes on without it.
	modelWait = 300 * time.Millisecond
	// modelLimit bounds the reading itself.
	modelLimit = 30 * time.Second
)

// reading is a model that is being read.
type reading struct {
	nft    *nftables.Snapshot // that it is read of
	xt     time.Time          // the xtRead of its legacy tables
	begin  time.Time
	cancel context.CancelFunc
	done   chan struct{} // closed once model is set
	model  *model.Model  // nil where it could not be read
	end    time.Time
}

// readModel returns what the namespace's rules do; nil where they are not read
// yet, or cannot be. Like readNFT it gets no more than a fifth of the time.
func (n *namespace) readModel(ctx context.Context, now time.Time, watch Watcher) *model.Model {
	if n.model != nil && n.model.Snapshot() == n.nft && n.modelXT.Equal(n.xtRead) {
		return n.model
	}
	wait := time.Duration(0)
	if n.reading == nil {
		if n.handle == nil || now.Sub(n.modelRead) < 4*n.modelCost {
			return nil
		}
		n.startReading(ctx, now, watch)
		wait = modelWait
	}
	if !n.reading.ready(wait) {
		return nil
	}
	r := n.reading
	n.reading = nil
	n.modelRead, n.modelCost = r.end, r.end.Sub(r.begin)
	if n.unread = r.model == nil; n.unread {
		return nil
	}
	n.model, n.modelXT = r.model, r.xt
	if r.nft != n.nft || !r.xt.Equal(n.xtRead) {
		return nil // the rules changed meanwhile
	}
	return n.model
}

// ready waits for the model, with 0 not at all.
func (r *reading) ready(wait time.Duration) bool {
	if wait == 0 {
		select {
		case <-r.done:
			return true
		default:
			return false
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-r.done:
		return true
	case <-timer.C:
		return false
	}
}

// startReading reads a model beside the drops. All that the goroutine has is its
// own or does not change.
func (n *namespace) startReading(ctx context.Context, now time.Time, watch Watcher) {
	// Drops of legacy rules do not tell that nftables' have changed.
	if n.nft == nil || n.unread {
		n.readNFT(ctx, now)
	}
	if ids, err := xtables.Tables(n.handle); err == nil && len(ids) != len(n.xt) {
		_ = n.readXT(now, watch)
	}
	var blobs []*xtables.Blob
	for _, t := range n.xt {
		blobs = append(blobs, t.Blob)
	}
	// It outlives the drop that asked for it.
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), modelLimit)
	r := &reading{nft: n.nft, xt: n.xtRead, begin: now, cancel: cancel, done: make(chan struct{})}
	n.reading = r
	handle := n.handle
	go func() {
		defer close(r.done)
		defer cancel()
		r.model, _ = model.Read(own, handle, r.nft, blobs)
		r.end = time.Now()
	}()
}
