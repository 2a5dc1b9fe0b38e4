package scratch

import (
	"context"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// sendBuffer is what a rule with many elements in its own sets may need, in bytes:
	// they are one transaction.
	sendBuffer = 64 << 20
	// A transaction has from leastBatch to mostBatch bytes where it can be parted, as the
	// socket takes: each costs the kernel a walk over all rules of the chains it changes.
	leastBatch, mostBatch = 96 << 10, 8 << 20
	// elementsSize bounds the elements of a message: an attribute holds 64 KiB.
	elementsSize = 32 << 10
)

// batch sends transactions of nf_tables.
type batch struct {
	c        *netlink.Conn
	messages []netlink.Message
	size     int
	most     int // bytes of a transaction
}

// load makes the objects in a namespace that has none.
func (r *nftRules) load(ctx context.Context, ns Source) error {
	c, stop, err := dialNetfilter(ctx, ns)
	if err != nil {
		return err
	}
	defer stop()
	_ = c.SetWriteBuffer(sendBuffer) // without privilege over the machine it stays less
	b := &batch{c: c, most: min(max(leastBatch, writeBuffer(c)/4), mostBatch)}
	for _, m := range r.objects {
		b.add(m)
	}
	for _, s := range r.named {
		b.add(s.message)
	}
	if err := b.send(); err != nil {
		return err
	}
	for _, s := range r.named {
		if err := b.addElements(s, true); err != nil {
			return err
		}
	}
	for _, rule := range r.rules {
		for _, key := range rule.sets {
			if s := r.anonymous[key]; s != nil {
				b.add(s.message)
				if err := b.addElements(s, false); err != nil {
					return err
				}
				delete(r.anonymous, key)
			}
		}
		b.add(rule.message)
		if err := b.sendFull(); err != nil {
			return err
		}
	}
	return b.send()
}

// writeBuffer is the size that the socket's buffer has, in bytes.
func writeBuffer(c *netlink.Conn) (size int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { size, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) })
	return size
}

func (b *batch) add(m nftMessage) {
	message := netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | m.typ),
			Flags: netlink.Request | netlink.Create,
		},
		Data: append(header(m.family, 0), m.attrs...),
	}
	if m.typ == unix.NFT_MSG_NEWRULE {
		message.Header.Flags |= netlink.Append
	}
	b.messages = append(b.messages, message)
	b.size += len(message.Data) + unix.NLMSG_HDRLEN
}

// addElements adds a set's elements; part allows several transactions.
func (b *batch) addElements(s *nftSet, part bool) error {
	which := only(s.message.attrs, unix.NFTA_SET_TABLE)
	name := find(s.message.attrs, unix.NFTA_SET_NAME)
	which = appendAttribute(which, unix.NFTA_SET_ELEM_LIST_SET, name.data())
	for list := s.elements; len(list) > 0; {
		var elements []byte
		for len(list) > 0 && len(elements) < elementsSize {
			const one = 1 // NFTA_LIST_ELEM
			elements = appendAttribute(elements, one|flagNested, list[0])
			list = list[1:]
		}
		attrs := appendAttribute(which[:len(which):len(which)], unix.NFTA_SET_ELEM_LIST_ELEMENTS|flagNested, elements)
		b.add(nftMessage{unix.NFT_MSG_NEWSETELEM, s.message.family, attrs})
		if part {
			if err := b.sendFull(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batch) sendFull() error {
	if b.size < b.most {
		return nil
	}
	return b.send()
}

// send is one transaction: all of it is done, or nothing.
func (b *batch) send() error {
	if len(b.messages) == 0 {
		return nil
	}
	// The kernel answers what fails, and at the end of all the last one.
	b.messages[len(b.messages)-1].Header.Flags |= netlink.Acknowledge
	frame := func(typ int) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(typ), Flags: netlink.Request},
			Data:   header(unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES),
		}
	}
	list := append([]netlink.Message{frame(unix.NFNL_MSG_BATCH_BEGIN)}, b.messages...)
	b.messages, b.size = b.messages[:0], 0
	sent, err := b.c.SendMessages(append(list, frame(unix.NFNL_MSG_BATCH_END)))
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	last := sent[len(sent)-2].Header.Sequence
	for {
		answers, err := b.c.Receive()
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		for _, m := range answers {
			if m.Header.Sequence == last {
				return nil
			}
		}
	}
}
