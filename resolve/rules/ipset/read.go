package ipset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/module"
	"github.com/droptrace/droptrace/resolve/rules/budget"
)

// Namespace is a network namespace to read.
type Namespace interface {
	// Do runs fn on a thread that is inside the namespace.
	Do(fn func() error) error
}

const (
	subsystem     = 6  // NFNL_SUBSYS_IPSET
	commandList   = 7  // IPSET_CMD_LIST
	commandTest   = 11 // IPSET_CMD_TEST
	protocol      = 6  // IPSET_PROTOCOL; newer kernels take it, too
	receiveBuffer = 64 << 10

	flagListHeader = 1 << 2 // IPSET_FLAG_LIST_HEADER
	// maxElements is how many elements a set may have for them to be kept, where
	// there is a budget.
	maxElements = 4096
	elementSize = 300 // of one that is kept and indexed, in bytes (measured)
)

// Read reads all ipsets of the namespace. With a budget in the context large ones
// are not held: their [ruleset.Set.Ask] asks the kernel. Where ip_set is not in the kernel
// there are none, and it stays out. Without CAP_NET_ADMIN the error is
// os.ErrPermission.
//
// A set that changes meanwhile may be read half in its old and half in its new
// state: ipset has no generations.
func Read(ctx context.Context, ns Namespace) (Sets, error) {
	ok, err := module.Files("/").InKernel("ip_set", "ip_set_init_comment")
	if err != nil || !ok {
		return nil, err
	}
	sets, err := read(ctx, ns)
	if err != nil {
		return nil, fmt.Errorf("read ipsets: %w", err)
	}
	return sets, nil
}

func read(ctx context.Context, ns Namespace) (Sets, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := dial(ctx, ns)
	if err != nil {
		return nil, err
	}
	defer c.close()
	d := newDecoder()
	d.budget = budget.From(ctx)
	if d.budget == nil {
		if err := c.list(ctx, d, "", 0); err != nil {
			return nil, err
		}
		return d.finish(), nil
	}
	return readWithin(ctx, c, d, ns)
}

// readWithin keeps the elements of small sets only. Others are asked, value by value.
func readWithin(ctx context.Context, c *conn, d *decoder, ns Namespace) (Sets, error) {
	if err := c.list(ctx, d, "", flagListHeader); err != nil {
		return nil, err
	}
	small := make([]*Set, 0, len(d.sets))
	for _, s := range d.sets {
		if s.size <= maxElements {
			small = append(small, s)
			continue
		}
		s.incomplete()
		s.Ask = asker{ns, s}.ask
	}
	for _, s := range small {
		err := c.list(ctx, d, s.Name, 0)
		if errors.Is(err, unix.ENOENT) {
			d.failed[s] = true // it was removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return d.finish(), nil
}

// conn is a netlink socket in a namespace.
type conn struct {
	*netlink.Conn
	stop func() bool
}

func dial(ctx context.Context, ns Namespace) (*conn, error) {
	c := &conn{}
	err := ns.Do(func() (err error) {
		c.Conn, err = netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: receiveBuffer})
		return err
	})
	if err != nil {
		return nil, err
	}
	// A deadline in the past ends a receive that is under way.
	c.stop = context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

func (c *conn) close() {
	c.stop()
	c.Close()
}

// list gives the decoder one set, or with an empty name all.
func (c *conn) list(ctx context.Context, d *decoder, name string, flags uint32) error {
	attrs := []netlink.Attribute{{Type: attrProtocol, Data: []byte{protocol}}}
	if name != "" {
		attrs = append(attrs, netlink.Attribute{Type: attrName, Data: append([]byte(name), 0)})
	}
	if flags != 0 {
		attrs = append(attrs, netlink.Attribute{Type: attrListFlags | netlink.NetByteOrder, Data: binary.BigEndian.AppendUint32(nil, flags)})
	}
	request, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return err
	}
	if err := c.send(commandList, netlink.Dump, request); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	for m, err := range c.ReceiveIter() {
		if err == nil {
			err = d.message(m)
		}
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
	return nil
}

func (c *conn) send(command uint16, flags netlink.HeaderFlags, attrs []byte) error {
	_, err := c.Send(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(subsystem<<8 | command), Flags: netlink.Request | flags},
		Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0}, attrs...),
	})
	return err
}
