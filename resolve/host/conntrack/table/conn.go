package table

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Messages of ctnetlink.
const (
	subsystem   = 1 // NFNL_SUBSYS_CTNETLINK
	msgGet      = 1 // IPCTNL_MSG_CT_GET
	msgStatsCPU = 4 // IPCTNL_MSG_CT_GET_STATS_CPU
	msgStats    = 5 // IPCTNL_MSG_CT_GET_STATS

	statsEntries    = 1 // CTA_STATS_GLOBAL_ENTRIES
	statsMaxEntries = 2 // CTA_STATS_GLOBAL_MAX_ENTRIES, 4.18 and later
	nfgenmsgSize    = 4 // struct nfgenmsg: u8 family, u8 version, be16 res_id
	headerSize      = 4 // struct nlattr: u16 length with the header, u16 type
	typeMask        = 0x3fff
	flagNested      = 0x8000
)

// Reader reads the conntrack table of one namespace. It is used by one goroutine.
type Reader struct {
	ns      Namespace
	netlink bool
	buckets uint64
	nl      *netlink.Conn
}

// New returns a Reader that has opened nothing yet. netlink says that ctnetlink
// is in the kernel, so that asking it loads no module.
func New(ns Namespace, netlink bool) *Reader { return &Reader{ns: ns, netlink: netlink} }

// Close closes the socket, if one was needed.
func (r *Reader) Close() error {
	if r.nl == nil {
		return nil
	}
	err := r.nl.Close()
	r.nl = nil
	return err
}

// Limits reads how full the table is. Where netlink serves, the namespace need
// not be entered: with a thousand of them that is what counts. The number of
// buckets is then read once.
func (r *Reader) Limits(ctx context.Context) (l Limits, err error) {
	if r.netlink && r.buckets != 0 {
		l.Buckets = r.buckets
		b, err := r.ask(ctx, msgStats, unix.AF_UNSPEC, nil)
		if err != nil {
			return Limits{}, fmt.Errorf("read limits of conntrack: %w", err)
		}
		for a := walk(b); a.next(); {
			switch a.typ {
			case statsEntries:
				l.Count = uint64(a.uint32())
			case statsMaxEntries:
				l.Max = uint64(a.uint32())
			}
		}
		return l, nil
	}
	err = r.ns.Do(func() error { l, err = ReadLimits(); return err })
	r.buckets = l.Buckets
	return l, err
}

// Stats reads the counters of each CPU: by netlink, else from /proc, which
// kernels without CONFIG_NF_CONNTRACK_PROCFS lack.
func (r *Reader) Stats(ctx context.Context) (Stats, error) {
	if r.netlink {
		return r.netlinkStats(ctx)
	}
	var s Stats
	err := r.ns.Do(func() error {
		var err error
		s, err = readProcStats()
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoConntrack
	}
	if err != nil {
		return nil, fmt.Errorf("read counters of conntrack: %w", err)
	}
	return s, nil
}

func (r *Reader) netlinkStats(ctx context.Context) (Stats, error) {
	var s Stats
	err := r.execute(ctx, msgStatsCPU, unix.AF_UNSPEC, nil, netlink.Dump, func(head, b []byte) error {
		c := CPU{ID: int(binary.BigEndian.Uint16(head[2:]))} // res_id
		for a := walk(b); a.next(); {
			if dst := c.attribute(a.typ); dst != nil && len(a.data) == 4 {
				*dst = binary.BigEndian.Uint32(a.data)
			}
		}
		s = append(s, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read counters of conntrack: %w", err)
	}
	return s, nil
}

// attribute is enum ctattr_stats_cpu.
func (c *CPU) attribute(typ uint16) *uint32 {
	switch typ {
	case 2:
		return &c.Found
	case 4:
		return &c.Invalid
	case 8:
		return &c.Insert
	case 9:
		return &c.InsertFailed
	case 10:
		return &c.Drop
	case 11:
		return &c.EarlyDrop
	case 12:
		return &c.Error
	case 13:
		return &c.SearchRestart
	case 14:
		return &c.ClashResolve
	case 15:
		return &c.ChainTooLong
	}
	return nil
}

func (r *Reader) open() error {
	if r.nl != nil {
		return nil
	}
	if !r.netlink {
		return ErrNoNetlink
	}
	err := r.ns.Do(func() error {
		var err error
		r.nl, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("open netlink netfilter: %w", err)
	}
	return nil
}

// execute sends one request and hands over the replies one by one: a dump of a
// million entries is never in memory. head is the reply's struct nfgenmsg; what
// fn is given is only good during the call.
func (r *Reader) execute(ctx context.Context, typ uint16, family uint8, attrs []byte,
	flags netlink.HeaderFlags, fn func(head, attrs []byte) error,
) error {
	if err := r.open(); err != nil {
		return err
	}
	nl := r.nl
	// A deadline in the past ends a receive that is under way.
	stop := context.AfterFunc(ctx, func() { nl.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sent, err := nl.Send(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(subsystem<<8 | typ),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attrs...),
	})
	if err != nil {
		return r.failed(ctx, err)
	}
	for m, err := range nl.ReceiveIter() {
		if err == nil {
			err = deliver(sent, m, fn)
		}
		if err != nil {
			return r.failed(ctx, err)
		}
	}
	return nil
}

// failed closes the socket: what it still holds belongs to nobody.
func (r *Reader) failed(ctx context.Context, err error) error {
	r.Close()
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return err
}

func deliver(sent, m netlink.Message, fn func(head, attrs []byte) error) error {
	switch {
	case m.Header.Sequence != sent.Header.Sequence:
		return fmt.Errorf("reply %d to request %d", m.Header.Sequence, sent.Header.Sequence)
	case m.Header.Type>>8 != subsystem || len(m.Data) < nfgenmsgSize:
		return errMalformed
	}
	return fn(m.Data[:nfgenmsgSize], m.Data[nfgenmsgSize:])
}

// attrs walks a list of netlink attributes without allocating: a table may have
// millions of entries.
type attrs struct {
	rest []byte
	typ  uint16
	data []byte // aliases the message
}

func walk(b []byte) attrs { return attrs{rest: b} }

// next steps on; it is false at the end and where the list is malformed.
func (a *attrs) next() bool {
	if len(a.rest) < headerSize {
		return false
	}
	length := int(binary.NativeEndian.Uint16(a.rest))
	if length < headerSize || length > len(a.rest) {
		return false
	}
	a.typ = binary.NativeEndian.Uint16(a.rest[2:]) & typeMask
	a.data = a.rest[headerSize:length]
	a.rest = a.rest[min((length+3)&^3, len(a.rest)):]
	return true
}
