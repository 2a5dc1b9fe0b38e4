package integration

import (
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// deleter deletes entries of TCP by their original tuple.
type deleter struct{ conn *netlink.Conn }

func (d deleter) delete(from, to string, sport, dport uint16) error {
	const (
		deleteEntry                  = 1<<8 | 2 // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
		tuple, ip, proto             = 1, 1, 2  // CTA_TUPLE_ORIG, CTA_TUPLE_IP, CTA_TUPLE_PROTO
		source, destination          = 1, 2     // CTA_IP_V4_SRC, CTA_IP_V4_DST
		number, fromPort, toPort int = 1, 2, 3  // CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT
	)
	port := func(p uint16) []byte { return []byte{byte(p >> 8), byte(p)} }
	e := netlink.NewAttributeEncoder()
	e.Nested(tuple, func(e *netlink.AttributeEncoder) error {
		e.Nested(ip, func(e *netlink.AttributeEncoder) error {
			e.Bytes(source, net.ParseIP(from).To4())
			e.Bytes(destination, net.ParseIP(to).To4())
			return nil
		})
		e.Nested(proto, func(e *netlink.AttributeEncoder) error {
			e.Uint8(uint16(number), unix.IPPROTO_TCP)
			e.Bytes(uint16(fromPort), port(sport))
			e.Bytes(uint16(toPort), port(dport))
			return nil
		})
		return nil
	})
	attrs, err := e.Encode()
	if err != nil {
		return err
	}
	_, err = d.conn.Send(netlink.Message{
		Header: netlink.Header{Type: deleteEntry, Flags: netlink.Request},
		Data:   append([]byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}, attrs...),
	})
	return err
}

// TestConntrackTCPReopenRace: a SYN reopens a connection that was reset, while
// somebody deletes its entry. The tracker of TCP lost the entry between finding
// and deleting it, and drops the packet.
func TestConntrackTCPReopenRace(t *testing.T) {
	l := newLab(t)
	rules(t, l.host, "table ip f {\nchain output { type filter hook output priority 0; ct state new accept\n}\n}\n")
	l.ready(t)
	var listener net.Listener
	within(t, l.server, func() (err error) {
		listener, err = net.Listen("tcp4", serverIP+":80")
		return err
	})
	defer listener.Close()
	var raw int
	var d deleter
	within(t, l.host, func() (err error) {
		if raw, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP); err != nil {
			return err
		}
		d.conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	defer unix.Close(raw)
	defer d.conn.Close()
	const local = "198.51.100.1"
	port := func(round uint16) uint16 { return 1024 + round%60000 }
	_, to := address(serverIP, 0)
	// The server answers a SYN and the host, which knows nothing of it, resets.
	syn := func(round uint16) error {
		err := unix.Sendto(raw, tcpHeader(local, serverIP, port(round), 80, 0x02), 0, to)
		if err == unix.EPERM {
			return nil // it was dropped
		}
		return err
	}
	f := startConntrack(t, l.host)
	if err := syn(1); err != nil {
		t.Fatal(err)
	}
	var turn atomic.Uint32
	race(t, l.host, func(round uint16) error {
		first := turn.Add(1)%2 == 1
		for range rand.IntN(300) { // who comes first is left to chance
			turn.Load()
		}
		if !first {
			return d.delete(local, serverIP, port(round), 80)
		}
		if err := syn(round); err != nil {
			return err
		}
		return syn(round + 1)
	}, func() bool { return conntrackSums(t, l.host)["drop"] >= 3 })
	sums := settled(t, l.host)
	list := f.stop(t)
	f.addsUp(t, list, sums)
	causes, lost := lostOf(list)
	if causes[drop.CauseTCPReopenRace] != sums["drop"] || lost != sums["drop"] || sums["insert_failed"] != 0 {
		t.Fatalf("causes %v, %d lost, the kernel counted %v\n%s", causes, lost, sums, showFailures(list))
	}
}

// lostOf counts the lost ones by cause.
func lostOf(list []drop.ConntrackFailure) (causes map[drop.FailureCause]int, lost int) {
	var gone []drop.ConntrackFailure
	for _, f := range list {
		if f.Lost {
			gone = append(gone, f)
		}
	}
	return counts(gone)
}
