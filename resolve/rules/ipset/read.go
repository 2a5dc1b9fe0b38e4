package ipset

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/module"
)

// Namespace is a network namespace to read.
type Namespace interface {
	// Do runs fn on a thread that is inside the namespace.
	Do(fn func() error) error
}

const (
	subsystem     = 6 // NFNL_SUBSYS_IPSET
	commandList   = 7 // IPSET_CMD_LIST
	protocol      = 6 // IPSET_PROTOCOL; newer kernels take it, too
	receiveBuffer = 64 << 10
)

// Read reads all ipsets of the namespace. Where ip_set is not in the kernel
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
	var c *netlink.Conn
	err := ns.Do(func() (err error) {
		c, err = netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: receiveBuffer})
		return err
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// A deadline in the past ends a receive that is under way.
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	request, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: attrProtocol, Data: []byte{protocol}}})
	if err != nil {
		return nil, err
	}
	_, err = c.Send(netlink.Message{
		Header: netlink.Header{Type: subsystem<<8 | commandList, Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0}, request...),
	})
	if err != nil {
		return nil, err
	}
	d := newDecoder()
	for m, err := range c.ReceiveIter() {
		if err == nil {
			err = d.message(m)
		}
		if err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
	}
	return d.finish(), nil
}
