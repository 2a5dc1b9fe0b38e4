package resolve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/model"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/ktime"
)

// rereadEvery bounds how often one namespace's rules are read again: a ruleset
// that changes with each drop must not eat the machine.
const rereadEvery = 200 * time.Millisecond

// errGone says that a namespace no longer exists: another has its inode.
var errGone = errors.New("its network namespace is gone")

// findAgain is how soon a namespace that was not found is looked for again: one that is
// being made may have no process any more and no name yet.
const findAgain = 200 * time.Millisecond

// notFoundError is of a namespace that had neither name nor process when it was looked
// for, which need not mean that it is gone.
type notFoundError struct{ late time.Duration } // since the drop

func (e *notFoundError) Error() string {
	const what = "its network namespace was not found"
	if e.late < time.Second {
		return what + " right after the drop"
	}
	return fmt.Sprintf("%s when it was looked for, %.1f s after the drop: it may have been there then", what, e.late.Seconds())
}

// namespace is what is known of one network namespace: read when its first drop
// comes, read again when a drop shows that it changed.
type namespace struct {
	info   drop.Netns
	handle *netns.Handle // nil where it cannot be entered: see err
	err    error
	cookie uint64 // 0: not known

	looked  time.Time      // when it was looked for
	used    time.Time      // when its last drop was resolved
	running sync.WaitGroup // tasks, which use the handle
	slow    atomic.Bool    // a task took long

	nft       *nftables.Snapshot
	nftErr    error
	nftAsked  lastAsked     // for its generation
	nftRead   time.Time     // when it was read last
	nftPause  time.Duration // and how long it is not read again
	nftTask   *nftReading   // nil where none is under way
	nftMemory *budget.Budget
	texts     map[*ruleset.Chain]*textReading // being read

	xt       map[xtables.TableID]*xtTable
	xtRead   time.Time
	xtMemory *budget.Budget
	xtDue    bool // it is to be read again as soon as rereadEvery allows
	xtLost   int  // how often in a row some table changed while it was read

	// model is what the rules do, read for diagnoses; modelXT is the xtRead that
	// it belongs to.
	model       *model.Model
	modelXT     time.Time
	modelRead   time.Time
	modelPause  time.Duration
	modelMemory *budget.Budget
	unread      bool     // the last try to read the model failed
	reading     *reading // nil where none is under way

	// described are rules and policies that dropped before. Those of a ruleset
	// that was read again since are never asked for, and go with the others.
	described map[placeKey]described

	machine *machine.Machine // nil without handle
	whys    whys

	ct      ctView
	replays replays
	guards  guards
}

// openNamespace opens the namespace that was found, or not, so long after the drop. A
// failure is kept for a while: it is told with each drop, not tried with each.
func openNamespace(found netns.Namespace, err error, inode, own uint32, late time.Duration) *namespace {
	n := &namespace{info: drop.Netns{Inode: inode, Own: inode == own}, looked: time.Now()}
	if err != nil {
		if errors.Is(err, netns.ErrNotFound) {
			err = &notFoundError{late}
		}
		n.err = err
		return n
	}
	n.info.Name = found.Name
	if found.Name == "" && !n.info.Own {
		n.info.PID, n.info.Command = found.PID, found.Command
	}
	if n.handle, n.err = netns.Open(found); n.err == nil {
		n.machine = machine.New(n.handle)
		n.cookie, _ = n.handle.Cookie() // not known, then
	}
	return n
}

// due reports whether a namespace that was not found is to be looked for again.
func (n *namespace) due() bool {
	var missed *notFoundError
	failed := errors.As(n.err, &missed) || errors.Is(n.err, context.DeadlineExceeded) || errors.Is(n.err, budget.ErrLimit)
	return failed && time.Since(n.looked) >= findAgain
}

// close lets the namespace go, once nothing of it is read any more.
func (n *namespace) close() error {
	n.ct.close()
	if n.reading != nil {
		n.reading.stop()
		n.reading.memory.Release() // nobody takes what it reads any more
		n.reading = nil
	}
	if n.nftTask != nil {
		n.nftTask.stop()
		n.nftTask.memory.Release()
		n.nftTask = nil
	}
	forget(n.xt)
	n.xt = nil
	n.forgetRules()
	n.xtMemory.Release()
	if n.handle == nil {
		return nil
	}
	go func() {
		n.running.Wait()
		n.handle.Close()
	}()
	return nil
}

// nftReading is a snapshot that is being read.
type nftReading struct {
	*task
	memory   *budget.Budget
	snapshot *nftables.Snapshot
	err      error
}

// readNFT reads the nft ruleset again. One that changes with each drop gets no
// more than a fifth of the time; false says that it was not read, and changing
// that this was why.
func (r *Resolver) readNFT(n *namespace) (ok, changing bool) {
	if n.handle == nil {
		n.nftErr = n.err
		return false, false
	}
	if n.nftTask == nil {
		if time.Since(n.nftRead) < n.nftPause {
			return false, !errors.Is(n.nftErr, budget.ErrLimit)
		}
		r.startNFT(n)
	}
	t := n.nftTask
	if !r.await(t.task, MaxHold) {
		if n.nftErr == nil {
			n.nftErr = errReading
		}
		return false, false
	}
	n.nftTask = nil
	n.nftErr, n.nftRead, n.nftPause = t.err, time.Now(), 4*t.took
	if t.err != nil {
		t.memory.Release()
		if errors.Is(t.err, budget.ErrLimit) {
			n.nftPause = limitPause
		}
		return false, errors.Is(t.err, nftables.ErrChanging)
	}
	n.nftMemory.Release()
	n.nft, n.nftMemory, n.nftAsked = t.snapshot, t.memory, 0
	n.described, n.texts = nil, nil
	return true, false
}

func (r *Resolver) startNFT(n *namespace) {
	r.makeRoom(n)
	t := &nftReading{memory: r.memoryOf(n)}
	handle := n.handle
	t.task = r.start(n, budget.RulesTime, t.memory, func(ctx context.Context) {
		t.snapshot, t.err = nftables.Read(ctx, handle)
		t.err = limited(ctx, t.err)
	})
	n.nftTask = t
}

// stillNFT reports whether the ruleset still has the generation that was read, for
// kernels whose drops do not tell theirs.
func (n *namespace) stillNFT(ctx context.Context, e *event.Event) bool {
	if n.handle == nil {
		return false
	}
	return n.nftAsked.about(e) || n.nftAsked.ask(func() error {
		g, err := nftables.Generation(ctx, n.handle)
		if err == nil && g != n.nft.Ruleset().Generation {
			err = nftables.ErrChanged
		}
		return err
	}) == nil
}

// lastAsked is when a question was put to the kernel last, as event.Event.Time. Its
// answer holds for all drops from before: each is answered for, and a backlog takes
// one question.
type lastAsked uint64

func (a *lastAsked) about(e *event.Event) bool { return e.Time < uint64(*a) }

func (a *lastAsked) ask(question func() error) error {
	now, err := ktime.Now()
	if err != nil {
		return err
	}
	if err := question(); err != nil {
		return err
	}
	*a = lastAsked(now)
	return nil
}
