package resolve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droptrace/droptrace/resolve/machine"
	"github.com/droptrace/droptrace/resolve/model"
	"github.com/droptrace/droptrace/resolve/netns"
	"github.com/droptrace/droptrace/resolve/nftables"
	"github.com/droptrace/droptrace/resolve/xtables"
	"github.com/droptrace/droptrace/tracer/event"
)

// rereadEvery bounds how often one namespace's rules are read again: a ruleset
// that changes with each drop must not eat the machine.
const rereadEvery = 200 * time.Millisecond

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
	xtDue  bool // it is to be read again as soon as rereadEvery allows
	xtLost int  // how often in a row some table changed while it was read

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
