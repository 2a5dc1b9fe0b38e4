package iptables

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/test/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a namespace with a pair of interfaces: what is sent by one comes in by
// v0.
type lab struct {
	*nstest.Namespace
	socket int
	to     unix.SockaddrLinklayer
	mac    net.HardwareAddr // of v0
	index  int              // of v0
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{Namespace: nstest.New(t)}
	l.Run(t, "", "sh", "-ec", `ip link add v0 type veth peer v1
for i in v0 v1; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; ip link set $i up; done
echo 0 > /proc/sys/net/ipv6/conf/v0/disable_ipv6
ip addr add 10.9.0.1/24 dev v0
ip link set v0 group 5
echo 0 > /proc/sys/net/netfilter/nf_conntrack_checksum`)
	err := l.Do(func() error {
		v0, err := net.InterfaceByName("v0")
		if err != nil {
			return err
		}
		v1, err := net.InterfaceByName("v1")
		if err != nil {
			return err
		}
		l.mac, l.index = v0.HardwareAddr, v0.Index
		l.to = unix.SockaddrLinklayer{Ifindex: v1.Index}
		l.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(l.socket) })
	return l
}

var clientMAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 9}

// frame is the packet with a link-layer header.
func (l *lab) frame(p labPacket) []byte {
	to := l.mac
	if p.broadcast {
		to = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	b := append(append([]byte{}, to...), clientMAC...)
	b = binary.BigEndian.AppendUint16(b, p.etherType())
	return append(b, p.bytes...)
}

// send sends the packet and waits until the first rule has counted it.
func (l *lab) send(t testing.TB, p labPacket, count func() []uint64) []uint64 {
	t.Helper()
	before := count()
	if err := unix.Sendto(l.socket, l.frame(p), 0, &l.to); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		after := count()
		if after[0] != before[0] {
			for i := range after {
				after[i] -= before[i]
			}
			return after
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s did not arrive", p.name)
	return nil
}

// replayed is the packet as replay wants it, in PREROUTING.
func (l *lab) replayed(p labPacket) *replay.Packet {
	frame := l.frame(p)
	r := &replay.Packet{
		EtherType: p.etherType(), Bytes: p.bytes, Length: len(p.bytes), Link: frame[:14], MarkKnown: true,
		In: replay.Interface{Known: true, Index: uint32(l.index), Name: "v0"}, Out: replay.Interface{Known: true},
		UID: -2, GID: -2, Conntrack: replay.Conntrack{State: p.state},
	}
	if p.broadcast {
		r.PacketType = 1
	}
	return r
}

// routes are the lab's, for replay.
type routes struct{}

func (routes) FIB(p *replay.Packet, key uint8, result ruleset.FIBResult) ([]byte, replay.Presence) {
	const unicast, local, broadcast, multicast = 1, 2, 3, 5
	if p.EtherType != 0x0800 || result != ruleset.FIBType {
		return nil, replay.NotKnown
	}
	b := p.Bytes[12:16]
	if key&ruleset.FIBDest != 0 {
		b = p.Bytes[16:20]
	}
	typ := byte(unicast)
	switch a := netip.AddrFrom4([4]byte(b)); {
	case a == netip.MustParseAddr("10.9.0.1"):
		typ = local
	case a == netip.MustParseAddr("10.9.0.255"), b[0] == 0, b[0] == 255:
		typ = broadcast
	case a.IsMulticast():
		typ = multicast
	}
	return []byte{0, 0, 0, typ}, replay.Present
}

func (routes) Link(i replay.Interface, f ruleset.Field) ([]byte, replay.Presence) {
	if f == ruleset.InGroup && i.Name == "v0" {
		return []byte{0, 0, 0, 5}, replay.Present
	}
	return nil, replay.NotKnown
}
