package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tables measures what it costs to see who fills a conntrack table, by the
// number of its entries. nf_conntrack_max bounds that; it is left as it is.
func (b *bench) tables(ctx context.Context) error {
	b.row("conntrack entries\tdroptrace conntrack --once --top took\tpeak memory")
	for _, entries := range []int{0, 1_000, 10_000, 100_000, 250_000, 1_000_000} {
		err := b.table(ctx, entries)
		if errors.Is(err, errTableFull) {
			b.row("%d\tnot measured: nf_conntrack_max is less", entries)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%d entries: %w", entries, err)
		}
	}
	return nil
}

var errTableFull = errors.New("the table is full")

func (b *bench) table(ctx context.Context, entries int) error {
	n, err := newNamespace()
	if err != nil {
		return err
	}
	defer n.remove()
	if err := n.fillTable(entries); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.droptrace, "conntrack", "--once", "--top", "--json", "--interval", "100ms", "--netns", string(n))
	start := time.Now()
	out, err := cmd.Output()
	took := time.Since(start)
	if err != nil {
		return fmt.Errorf("droptrace conntrack: %w", err)
	}
	var sample struct{ Fill struct{ Entries int } }
	if err := json.Unmarshal(out, &sample); err != nil {
		return err
	}
	if sample.Fill.Entries != entries {
		return fmt.Errorf("it found %d of %d entries", sample.Fill.Entries, entries)
	}
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	b.row("%d\t%v\t%.1f MiB", entries, took.Round(time.Millisecond), float64(usage.Maxrss)/1024)
	return nil
}

// fillTable makes entries of UDP, each from an address and a port of its own, by
// ctnetlink.
func (n namespace) fillTable(entries int) error {
	var conn *netlink.Conn
	err := n.do(func() (err error) {
		conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	entry, err := newEntry()
	if err != nil {
		return err
	}
	const batch = 200
	for i := 0; i < entries; i += batch {
		var list []netlink.Message
		for j := i; j < min(i+batch, entries); j++ {
			m := netlink.Message{Header: netlink.Header{
				Type: 1 << 8, Flags: netlink.Request | netlink.Create | netlink.Excl, // IPCTNL_MSG_CT_NEW
			}, Data: entry.from(uint32(10<<24+j), uint16(1024+j%50000))}
			if j == min(i+batch, entries)-1 {
				m.Header.Flags |= netlink.Acknowledge // the others tell only of errors
			}
			list = append(list, m)
		}
		if _, err := conn.SendMessages(list); err != nil {
			return err
		}
		if _, err := conn.Receive(); err != nil {
			if errors.Is(err, unix.ENOMEM) {
				return errTableFull
			}
			return fmt.Errorf("make entries: %w", err)
		}
	}
	return nil
}

// entryTemplate is the message for an entry, and where its client stands.
type entryTemplate struct {
	message                []byte
	addresses, clientPorts [2]int
}

// newEntry encodes struct nfgenmsg and the attributes of uapi
// linux/netfilter/nfnetlink_conntrack.h.
func newEntry() (*entryTemplate, error) {
	client, server := []byte{192, 0, 2, 77}, []byte{192, 0, 2, 1}
	clientPort, serverPort := []byte{0xfa, 0xce}, []byte{0, 53}
	e := netlink.NewAttributeEncoder()
	tuple := func(typ uint16, from, to, fromPort, toPort []byte) {
		e.Nested(typ, func(e *netlink.AttributeEncoder) error {
			e.Nested(1, func(e *netlink.AttributeEncoder) error { // CTA_TUPLE_IP
				e.Bytes(1, from)
				e.Bytes(2, to)
				return nil
			})
			e.Nested(2, func(e *netlink.AttributeEncoder) error { // CTA_TUPLE_PROTO
				e.Uint8(1, unix.IPPROTO_UDP)
				e.Bytes(2, fromPort)
				e.Bytes(3, toPort)
				return nil
			})
			return nil
		})
	}
	tuple(1, client, server, clientPort, serverPort)         // CTA_TUPLE_ORIG
	tuple(2, server, client, serverPort, clientPort)         // CTA_TUPLE_REPLY
	e.Bytes(7, binary.BigEndian.AppendUint32(nil, 24*60*60)) // CTA_TIMEOUT
	attrs, err := e.Encode()
	if err != nil {
		return nil, err
	}
	t := &entryTemplate{message: append([]byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}, attrs...)}
	t.addresses = [2]int{bytes.Index(t.message, client), bytes.LastIndex(t.message, client)}
	t.clientPorts = [2]int{bytes.Index(t.message, clientPort), bytes.LastIndex(t.message, clientPort)}
	return t, nil
}

// from returns a copy with another client.
func (t *entryTemplate) from(address uint32, port uint16) []byte {
	m := bytes.Clone(t.message)
	for i := range 2 {
		binary.BigEndian.PutUint32(m[t.addresses[i]:], address)
		binary.BigEndian.PutUint16(m[t.clientPorts[i]:], port)
	}
	return m
}
