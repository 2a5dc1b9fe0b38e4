// Package budget bounds what is read of a network namespace. Its rules and sets are
// as large as whoever is root in it makes them, and reading must not cost the host
// more than a share of its memory and time.
//
// A reader takes from the [Budget] of its context, by estimate, before it keeps
// something. Where the context has none, nothing is bounded.
package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// What may be read of a namespace: memory in bytes, of our own, of another's and of all
// together; and how long its rules may take, and what else has to be read.
const (
	Own   = 96 << 20
	Other = 32 << 20
	All   = 160 << 20
	// Others is for all but our own, whose share the others must not take.
	Others = All - 32<<20

	RulesTime = 2 * time.Second
	OtherTime = 10 * time.Second // what the rules do, and their texts
)

// ErrLimit is what every [LimitError] is.
var ErrLimit = errors.New("limit")

// LimitError says which limit ended a reading.
type LimitError struct {
	Bytes int64         // 0 where time was the limit
	Time  time.Duration // 0 where memory was the limit
	All   bool          // the memory of all namespaces together
}

// Error is for the record of a drop: rules not read: 32 MB limit.
func (e *LimitError) Error() string {
	switch {
	case e.Time > 0:
		return fmt.Sprintf("rules not read: %.0f s limit", e.Time.Seconds())
	case e.All:
		return fmt.Sprintf("rules not read: %d MB limit of all namespaces", e.Bytes>>20)
	}
	return fmt.Sprintf("rules not read: %d MB limit", e.Bytes>>20)
}

// Is makes errors.Is find ErrLimit.
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// Budget is memory that may be taken, in bytes. A nil Budget has no bound. Its
// methods may be called by several goroutines.
type Budget struct {
	limit int64
	whole *Budget

	mu    sync.Mutex
	taken int64
	ended bool
}

// New returns a Budget. What is taken of it is taken of whole, too, which may be
// nil.
func New(limit int64, whole *Budget) *Budget { return &Budget{limit: limit, whole: whole} }

// Of returns the Budget of a namespace; own is for the one that we are in.
func Of(own bool, whole *Budget) *Budget {
	if own {
		return New(Own, whole)
	}
	return New(Other, whole)
}

// Limited returns the limit that ended a reading whose context was ctx, else the
// error itself.
func Limited(ctx context.Context, err error) error {
	var limit *LimitError
	if errors.As(err, &limit) || err != nil && errors.As(context.Cause(ctx), &limit) {
		return limit
	}
	return err
}

// WithTime returns a context that a [*LimitError] ends after that time.
func WithTime(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, &LimitError{Time: limit})
}

// Take takes n bytes, or returns a [*LimitError] and takes nothing.
func (b *Budget) Take(n int) error {
	if b == nil || n <= 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || b.taken+int64(n) > b.limit {
		return &LimitError{Bytes: b.limit}
	}
	if err := b.whole.Take(n); err != nil {
		return &LimitError{Bytes: b.whole.limit, All: true}
	}
	b.taken += int64(n)
	return nil
}

// Release gives back all that was taken, once nothing of it is kept. Nothing more can
// be taken then.
func (b *Budget) Release() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.whole.give(b.taken)
	b.taken, b.ended = 0, true
}

func (b *Budget) give(n int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
	b.whole.give(n)
}

// Taken is what has been taken, in bytes.
func (b *Budget) Taken() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken
}

type key struct{}

// With returns a context whose readers take from b.
func With(ctx context.Context, b *Budget) context.Context { return context.WithValue(ctx, key{}, b) }

// From is the context's Budget, nil for none.
func From(ctx context.Context) *Budget {
	b, _ := ctx.Value(key{}).(*Budget)
	return b
}
