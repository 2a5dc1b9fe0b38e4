package resolve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droptrace/droptrace/resolve/netns"
	"github.com/droptrace/droptrace/resolve/nftables"
	"github.com/droptrace/droptrace/resolve/ruleset"
	"github.com/droptrace/droptrace/resolve/xtables"
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

	nft     *nftables.Snapshot
	nftErr  error
	nftRead time.Time

	xt      map[xtables.TableID]*xtables.Blob
	xtTexts map[xtables.TableID]xtText
	xtRead  time.Time
}

type xtText struct {
	rules map[*ruleset.Rule]string
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
	n.handle, n.err = netns.Open(found)
	return n
}

func (n *namespace) close() error {
	if n.handle == nil {
		return nil
	}
	return n.handle.Close()
}

// readNFT reads the nft ruleset again, unless that was done a moment ago.
func (n *namespace) readNFT(ctx context.Context, now time.Time) bool {
	if n.handle == nil {
		n.nftErr = n.err
		return false
	}
	if now.Sub(n.nftRead) < rereadEvery {
		return false
	}
	n.nftRead = now
	n.nft, n.nftErr = nftables.Read(ctx, n.handle)
	return n.nftErr == nil
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
	n.xt = make(map[xtables.TableID]*xtables.Blob, len(ids))
	n.xtTexts = make(map[xtables.TableID]xtText)
	for _, id := range ids {
		blob, e := xtables.Read(n.handle, id)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		n.xt[id] = blob
		if watch == nil {
			continue
		}
		if e := watch.Watch(n.handle.Do, blob); e != nil {
			err = errors.Join(err, fmt.Errorf("namespace %s: %w", n.info.label(), e))
		}
	}
	return err
}

// xtText returns a legacy rule's text; the save program runs once a table.
func (n *namespace) xtText(ctx context.Context, b *xtables.Blob, r *ruleset.Rule) (string, error) {
	t, ok := n.xtTexts[b.ID]
	if !ok {
		t.rules, t.err = xtables.Texts(ctx, n.handle, b)
		n.xtTexts[b.ID] = t
	}
	return t.rules[r], t.err
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
