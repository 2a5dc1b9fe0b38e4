package nftables

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// Namespace is a network namespace to read. It must stay open as long as a
// [Snapshot] of it is asked for texts.
type Namespace interface {
	// Do runs fn on a thread that is inside the namespace.
	Do(fn func() error) error
}

// errInterrupted: the ruleset changed while it was read.
var errInterrupted = errors.New("ruleset changed while it was read")

// source answers the requests that reading needs; the kernel does, and tests
// without root do.
type source interface {
	// generation is the ruleset's base_seq.
	generation(ctx context.Context) (uint32, error)
	// settle waits until the change that made the generation is done. It
	// fails with errInterrupted where the ruleset has another one.
	settle(ctx context.Context, generation uint32) error
	// dump calls fn with the family and the attributes of each object. What
	// fn is given is only good during the call.
	dump(ctx context.Context, req request, fn func(family uint8, attrs []byte) error) error
}

// request is a NFT_MSG_GET… for all objects of a kind.
type request struct {
	typ    uint16
	family uint8 // NFPROTO_UNSPEC for all
	attrs  []netlink.Attribute
}

const (
	nfgenmsgLen = 4 // struct nfgenmsg: u8 family, u8 version, u16 res_id

	// The kernel fills datagrams of a dump up to the largest buffer the reader
	// has offered, 32 KiB at most; a single object may be larger.
	receiveBuffer = 64 << 10
)

// conn is a netlink socket inside one namespace, opened when it is needed.
//
// Opening it may by itself load nfnetlink, and the first message nf_tables: ask
// [module.Files.InKernel] before.
type conn struct {
	ns Namespace
	nl *netlink.Conn
}

func (c *conn) open() error {
	if c.nl != nil {
		return nil
	}
	err := c.ns.Do(func() error {
		var err error
		c.nl, err = netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{
			MessageBufferSize: receiveBuffer,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("open netlink netfilter: %w", err)
	}
	return nil
}

func (c *conn) close() {
	if c.nl != nil {
		c.nl.Close()
		c.nl = nil
	}
}

func (c *conn) generation(ctx context.Context) (uint32, error) {
	var gen uint32
	err := c.execute(ctx, request{typ: unix.NFT_MSG_GETGEN}, 0, func(_ uint8, b []byte) error {
		var err error
		gen, err = decodeGeneration(b)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read ruleset generation: %w", err)
	}
	return gen, nil
}

// settle sends an empty transaction, which changes nothing and makes no
// generation: nf_tables takes it once it is done with all before
// (nf_tables_valid_genid waits for the commit mutex), and only if the generation
// is that one.
//
// It is needed because nf_tables_commit counts base_seq up before it turns
// gencursor over. In between, which is long where it is preempted, the old
// ruleset is listed under the new number, and half of each to a reader who
// begins then.
func (c *conn) settle(ctx context.Context, generation uint32) error {
	if err := c.open(); err != nil {
		return err
	}
	const batchGeneration = 1 // NFNL_BATCH_GENID
	id, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: batchGeneration, Data: binary.BigEndian.AppendUint32(nil, generation)},
	})
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	header := []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES}
	_, err = c.nl.SendMessages([]netlink.Message{
		{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: netlink.Request}, Data: append(header, id...)},
		{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_END, Flags: netlink.Request}, Data: header},
	})
	if err != nil {
		return fmt.Errorf("wait for ruleset generation %d: %w", generation, err)
	}
	// A success has no reply; a refusal comes before the reply to anything else.
	now, err := c.generation(ctx)
	var refused *netlink.OpError
	switch {
	case err == nil && now != generation, errors.Is(err, unix.ERESTART):
		err = errInterrupted
	case errors.As(err, &refused):
		// No transaction for us (a policy of SELinux): then without. What
		// forbids reading, too, will say so.
		err = nil
	}
	if refused != nil || errors.Is(err, errInterrupted) {
		c.close() // another reply may still be to come
	}
	return err
}

func (c *conn) dump(ctx context.Context, req request, fn func(uint8, []byte) error) error {
	return c.execute(ctx, req, netlink.Dump, fn)
}

// execute sends one request and hands over the replies one by one, so that a
// large ruleset is never in memory as messages.
func (c *conn) execute(ctx context.Context, req request, flags netlink.HeaderFlags, fn func(uint8, []byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	payload, err := netlink.MarshalAttributes(req.attrs)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	if err := c.open(); err != nil {
		return err
	}
	nl := c.nl
	// A deadline in the past ends a receive that is under way.
	stop := context.AfterFunc(ctx, func() { nl.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	sent, err := nl.Send(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | req.typ),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{req.family, unix.NFNETLINK_V0, 0, 0}, payload...),
	})
	if err != nil {
		return asContext(ctx, err)
	}
	for m, err := range nl.ReceiveIter() {
		if err != nil {
			return asContext(ctx, err)
		}
		if err := deliver(sent, m, fn); err != nil {
			// The iterator would read the rest of the dump to throw it away,
			// which for a large set takes longer than a new socket.
			c.close()
			return err
		}
	}
	return nil
}

// deliver checks one reply and passes it on.
func deliver(sent, m netlink.Message, fn func(uint8, []byte) error) error {
	switch {
	case m.Header.Sequence != sent.Header.Sequence:
		return fmt.Errorf("reply %d to request %d", m.Header.Sequence, sent.Header.Sequence)
	case m.Header.Flags&unix.NLM_F_DUMP_INTR != 0:
		// The generation moved between two datagrams of the dump.
		return errInterrupted
	case m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < nfgenmsgLen:
		return fmt.Errorf("message type %#x of %d bytes: %w", m.Header.Type, len(m.Data), nlattr.ErrMalformed)
	}
	return fn(m.Data[0], m.Data[nfgenmsgLen:])
}

// asContext names the cancellation that a socket error comes from.
func asContext(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return err
}
