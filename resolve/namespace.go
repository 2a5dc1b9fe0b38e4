package resolve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/machine"
	"github.com/droptrace/droptrace/resolve/model"
	"github.com/droptrace/droptrace/resolve/netns"
	"github.com/droptrace/droptrace/resolve/nftables"
	"github.com/droptrace/droptrace/resolve/ruleset"
	"github.com/droptrace/droptrace/resolve/xtables"
	"github.com/droptrace/droptrace/tracer/event"
)

// rereadEvery bounds how often one namespace's rules are read again: a ruleset
// that changes with each drop must not eat the machine.
const rereadEvery = 200 * time.Millisecond

// asked is when a question was put to the kernel last. Its answer holds for all
// drops from before: each is answered for, and a backlog takes one question.
type asked struct {
	at   uint64 // as event.Event.Time
	cost uint64 // ns
}

func (a *asked) about(e *event.Event) bool { return e.Time < a.at }

// due reports whether the question would take less than a fifth of the time.
func (a *asked) due(e *event.Event) bool { return e.Time-a.at >= 4*a.cost }

func (a *asked) ask(question func() error) error {
	start, err := uptime()
	if err != nil {
		return err
	}
	if err := question(); err != nil {
		return err
	}
	end, err := uptime()
	a.at, a.cost = start, end-start
	return err
}

// errGone says that a namespace no longer exists.
var errGone = errors.New("its network namespace is gone")

// namespace is what is known of one network namespace: read when its first drop
// comes, read again when a drop shows that it changed.
type namespace struct {
	info   Netns
	handle *netns.Handle // nil where it cannot be entered: see err
	err    error
	cookie uint64 // 0: not known

	nft      *nftables.Snapshot
	nftErr   error
	nftAsked asked         // for its generation
	nftRead  time.Time     // when it was read last
	nftCost  time.Duration // and how long that took

	xt     map[xtables.TableID]*xtTable
	xtRead time.Time

	// model is what the rules do, read for diagnoses; modelXT is the xtRead that
	// it belongs to.
	model     *model.Model
	modelXT   time.Time
	modelRead time.Time
	modelCost time.Duration
	reading   *reading // nil where none is under way

	// described are rules and policies that dropped before. Those of a ruleset
	// that was read again since are never asked for, and go with the others.
	described map[placeKey]described

	machine *machine.Machine // nil without handle
	whys    whys

	ct      ctView
	replays replays
}

// xtTable is a legacy table as it was when it began to be watched.
type xtTable struct {
	*xtables.Blob
	watched Watched           // nil where nobody watches
	prints  map[uint32]uint64 // of its entries, by offset

	// since is when it was there, by the clock of events: a drop from before may
	// be another table's.
	since uint64
	// unchanged asks the kernel whether the table is still this one.
	unchanged func() (bool, error)
	asked     asked
	replaced  bool

	read  bool
	texts map[*ruleset.Rule]string
	err   error
}

// openNamespace finds and opens the namespace. A failure is kept: it is told
// with each drop, not tried with each.
func openNamespace(ctx context.Context, inode, own uint32) *namespace {
	n := &namespace{info: Netns{Inode: inode, Own: inode == own}}
	found, err := netns.Find(ctx, inode)
	if err != nil {
		if errors.Is(err, netns.ErrNotFound) {
			err = errGone
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

func (n *namespace) close() error {
	n.ct.close()
	if n.reading != nil {
		n.reading.cancel()
		<-n.reading.done
		n.reading = nil
	}
	forget(n.xt)
	n.xt = nil
	if n.handle == nil {
		return nil
	}
	return n.handle.Close()
}

// forget ends the watch of tables that are gone.
func forget(tables map[xtables.TableID]*xtTable) {
	for _, t := range tables {
		if t.watched != nil {
			t.watched.Forget()
		}
	}
}

// readNFT reads the nft ruleset again. One that changes with each drop gets no
// more than a fifth of the time; false says that it was not read, and changing
// that this was why.
func (n *namespace) readNFT(ctx context.Context, now time.Time) (ok, changing bool) {
	if n.handle == nil {
		n.nftErr = n.err
		return false, false
	}
	if now.Sub(n.nftRead) < 4*n.nftCost {
		return false, true
	}
	nft, err := nftables.Read(ctx, n.handle)
	if err == nil {
		n.nft, n.described = nft, nil
	}
	n.nftErr = err
	n.nftRead = time.Now()
	n.nftCost = n.nftRead.Sub(now)
	return err == nil, errors.Is(err, nftables.ErrChanging)
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

// readXT reads every iptables-legacy table of the namespace and has the kernel
// side watch its drop rules.
func (n *namespace) readXT(now time.Time, watch Watcher) error {
	if n.handle == nil {
		return n.err
	}
	if now.Sub(n.xtRead) < rereadEvery {
		return nil
	}
	n.xtRead = now
	ids, err := xtables.Tables(n.handle)
	if err != nil {
		return err
	}
	old := n.xt
	defer func() { forget(old) }()
	n.xt, n.described = make(map[xtables.TableID]*xtTable, len(ids)), nil
	for _, id := range ids {
		t, e := n.watchXT(id, watch)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("namespace %s: %w", n.info.label(), e))
			continue
		}
		n.xt[id] = t
	}
	return err
}

// watchTries bounds the attempts at a table that changes meanwhile.
const watchTries = 3

// watchXT reads a table and has it watched. Only where it reads the same again
// afterwards is the blob that is watched the one that was read.
func (n *namespace) watchXT(id xtables.TableID, watch Watcher) (*xtTable, error) {
	for range watchTries {
		blob, err := xtables.Read(n.handle, id)
		if err != nil {
			return nil, err
		}
		t := &xtTable{Blob: blob, unchanged: func() (bool, error) { return xtables.Unchanged(n.handle, blob) }}
		if t.since, err = uptime(); err != nil {
			return nil, err
		}
		if watch == nil {
			return t, nil
		}
		if t.watched, err = watch.Watch(n.handle.Do, blob); err != nil {
			return nil, err
		}
		same, err := xtables.Unchanged(n.handle, blob)
		if err != nil {
			return nil, err
		}
		if same {
			return t, nil
		}
	}
	return nil, fmt.Errorf("iptables-legacy table %s: %w", id.Name, xtables.ErrChanging)
}

// holds reports whether the entry is the one that the kernel side printed. The
// table's address does not tell: its memory is given to a later one.
func (t *xtTable) holds(e *xtables.Entry, print uint64) bool {
	known, ok := t.prints[e.Offset]
	if !ok {
		if t.prints == nil {
			t.prints = make(map[uint32]uint64)
		}
		known = t.watched.Print(e.Offset)
		t.prints[e.Offset] = known
	}
	return known != 0 && known == print
}

// uptime is the time as event.Event.Time has it: unlike the wall clock it is not set.
func uptime() (uint64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("read CLOCK_MONOTONIC: %w", err)
	}
	return uint64(t.Nano()), nil
}

// still reports whether the table is the one that was read. Its address does not
// tell: that of a table two replacements ago is what the allocator gives out next,
// and the counters' addresses with it. Without known that was not asked: the answer
// takes as long as to read the table.
func (t *xtTable) still(e *event.Event) (same, known bool) {
	if t.replaced || e.Time < t.since {
		return false, true
	}
	if t.asked.about(e) {
		return true, true
	}
	if !t.asked.due(e) {
		return true, false
	}
	err := t.asked.ask(func() error {
		same, err := t.unchanged()
		t.replaced = err == nil && !same
		return err
	})
	return err == nil && !t.replaced, true
}

// text returns a rule's text; the save program runs once a table.
func (t *xtTable) text(ctx context.Context, n *namespace, r *ruleset.Rule) (string, error) {
	if !t.read {
		t.read = true
		t.texts, t.err = xtables.Texts(ctx, n.handle, t.Blob)
	}
	return t.texts[r], t.err
}

// label is how messages call the namespace.
func (n Netns) label() string {
	switch {
	case n.Name != "":
		return n.Name
	case n.Command != "":
		return fmt.Sprintf("of %s (pid %d)", n.Command, n.PID)
	}
	return fmt.Sprintf("inode %d", n.Inode)
}
