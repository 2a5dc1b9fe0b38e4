package nftables

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// wire is an interface whose packets come from us.
type wire struct{ f *os.File }

// newWire makes a TUN interface of that name inside the namespace, with the
// addresses 192.0.2.254 and 2001:db8::fe.
func (n *testNamespace) newWire(t *testing.T, name string) wire {
	t.Helper()
	var w wire
	err := n.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		w.f = os.NewFile(uintptr(fd), "tun")
		var request struct {
			name  [unix.IFNAMSIZ]byte
			flags uint16
			_     [22]byte
		}
		copy(request.name[:], name)
		request.flags = unix.IFF_TUN | unix.IFF_NO_PI
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request))); errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.f.Close() })
	n.Run(t, "", "sh", "-c", "sysctl -q net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0; ip link set "+name+" up; "+
		"ip addr add 192.0.2.254/24 dev "+name+"; ip addr add 2001:db8::fe/64 dev "+name+" nodad")
	return w
}

// arriving makes packets of values that the rules of the tests ask for.
type arriving struct{ *rand.Rand }

func pickOne[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func (a arriving) packet() []byte {
	protocol := pickOne[byte](a.Rand, unix.IPPROTO_TCP, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_SCTP, unix.IPPROTO_ESP)
	six := a.IntN(3) == 0
	if six && protocol == unix.IPPROTO_ICMP {
		protocol = unix.IPPROTO_ICMPV6
	}
	payload := append(a.transport(protocol), make([]byte, pickOne(a.Rand, 0, 0, 60, 120, 1100))...)
	if six {
		return a.ip6(protocol, payload)
	}
	return a.ip(protocol, payload)
}

func (a arriving) transport(protocol byte) []byte {
	port := func() uint16 {
		return pickOne[uint16](a.Rand, 1, 2, 5, 22, 25, 53, 80, 85, 443, 1000, 1024, 1500, 2000, 2001, 65535)
	}
	b := make([]byte, 24)
	binary.BigEndian.PutUint16(b, port())
	binary.BigEndian.PutUint16(b[2:], port())
	switch protocol {
	case unix.IPPROTO_TCP:
		b[12] = 6 << 4
		b[13] = pickOne[byte](a.Rand, 0x02, 0x12, 0x10, 0x01, 0x04, 0x18, 0x03)
		copy(b[20:], pickOne(a.Rand, []byte{2, 4, 0, 150}, []byte{2, 4, 5, 180}, []byte{4, 2, 1, 1}, []byte{1, 1, 1, 1}))
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		b[0], b[1] = pickOne[byte](a.Rand, 0, 3, 8, 128, 135), byte(a.IntN(2))
	case unix.IPPROTO_ESP:
		binary.BigEndian.PutUint32(b, pickOne[uint32](a.Rand, 100, 101))
	}
	return b
}

func (a arriving) ip(protocol byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[1] = 0x45, pickOne[byte](a.Rand, 0, 0x20, 0x28, 0x21, 0xb8)
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(b[4:], pickOne[uint16](a.Rand, 7, 8))
	binary.BigEndian.PutUint16(b[6:], pickOne[uint16](a.Rand, 0, 0, 0, 0x4000, 0x2000, 33))
	b[8], b[9] = pickOne[byte](a.Rand, 3, 5, 64, 255), protocol
	copy(b[12:], pickOne(a.Rand,
		[]byte{192, 0, 2, 1}, []byte{192, 0, 2, 2}, []byte{192, 0, 2, 7}, []byte{192, 0, 2, 9}, []byte{192, 0, 2, 205},
		[]byte{10, 0, 0, 1}, []byte{10, 1, 2, 3}, []byte{10, 1, 3, 3}, []byte{10, 200, 7, 1}, []byte{198, 51, 100, 1}))
	copy(b[16:], pickOne(a.Rand, []byte{192, 0, 2, 254}, []byte{192, 0, 2, 2}, []byte{10, 0, 3, 4}, []byte{192, 0, 2, 127}))
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	return append(b, payload...)
}

func (a arriving) ip6(protocol byte, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0] = 0x60
	binary.BigEndian.PutUint16(b, 0x6000|pickOne[uint16](a.Rand, 0, 0x200, 0x280, 0x210))
	b[6], b[7] = protocol, pickOne[byte](a.Rand, 64, 255)
	source := parseAddress(pickOne(a.Rand, "2001:db8::1", "2001:db8::5", "2001:db8:8000::1", "2001:db9::1", "2001:db8:0:1::9"))
	to := parseAddress(pickOne(a.Rand, "2001:db8::fe", "2001:db8::1", "2001:db8::7"))
	copy(b[8:], source)
	copy(b[24:], to)
	if a.IntN(4) == 0 { // a fragment's header, of the first or a later one
		b[6] = unix.IPPROTO_FRAGMENT
		offset := pickOne[uint16](a.Rand, 1, 33<<3|1, 33<<3)
		fragment := []byte{protocol, 0, byte(offset >> 8), byte(offset), 0, 0, 0, 1}
		payload = append(fragment, payload...)
	}
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	return append(b, payload...)
}

// packets counts each rule's packets, as the kernel does.
func packets(c *ruleset.Chain) []uint64 {
	counts := make([]uint64, len(c.Rules))
	for i, r := range c.Rules {
		counts[i] = r.Packets
	}
	return counts
}

// TestRulesMatchWhatTheKernelMatches sends packets past every kind of rule, and
// holds what replay makes of the model against the rules' own counters.
func TestRulesMatchWhatTheKernelMatches(t *testing.T) {
	random := arriving{rand.New(rand.NewPCG(1, 2))}
	for _, g := range statementTests {
		var rules []string
		for _, test := range g.tests {
			if rule, ok := strings.CutSuffix(test[0], " drop"); ok && !strings.Contains(rule, "counter") && !strings.HasPrefix(rule, "limit") {
				rules = append(rules, rule+" counter")
			}
		}
		if len(rules) < 4 || g.ruleset == ipPrerouting || g.name == "fib" { // nobody here knows routes
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			ns := newNamespace(t)
			w := ns.newWire(t, "eth0")
			// Before defragmentation, unless connections are asked for.
			priority := "-450"
			if g.name == "conntrack" {
				priority = "-100"
				for _, state := range states {
					rules = append(rules, "ct state "+state+" counter")
				}
			}
			text := strings.Replace(g.ruleset, "RULES", strings.Join(rules, "\n"), 1)
			ns.nft(t, strings.Replace(text, "hook input priority 0", "hook prerouting priority "+priority, 1))
			known, unknown := 0, 0
			seen := make(flows)
			before := packets(ns.chain(t, "c"))
			for range 300 {
				b := random.packet()
				if _, err := w.f.Write(b); err != nil {
					t.Fatal(err)
				}
				c := ns.chain(t, "c")
				after := packets(c)
				state := uint32(0)
				if g.name == "conntrack" {
					state = seen.state(b, after[len(after)-len(states):], before[len(before)-len(states):])
				}
				for _, s := range replayed(b, c, state) {
					i := s.Rule.Number - 1
					switch moved := after[i] - before[i]; {
					case s.Truth == replay.Unknown:
						unknown++
					case moved != uint64(s.Truth):
						t.Errorf("%q: the kernel counted %d, replay says %d of %x", rules[i], moved, s.Truth, b)
						known++
					default:
						known++
					}
				}
				before = after
			}
			t.Logf("%d known, %d not", known, unknown)
			if known == 0 {
				t.Error("nothing was known")
			}
		})
	}
}

// replayed evaluates each of the chain's rules, none of which ends the packet.
func replayed(b []byte, c *ruleset.Chain, state uint32) []replay.Step {
	p := &replay.Packet{
		EtherType: unix.ETH_P_IP, Bytes: b, Length: len(b), MarkKnown: true, UID: -2, GID: -2,
		In: replay.Interface{Known: true, Name: "eth0"}, Out: replay.Interface{Known: true},
		Conntrack: replay.Conntrack{State: state},
	}
	family := "ip"
	if b[0]>>4 == 6 {
		p.EtherType, family = unix.ETH_P_IPV6, "ip6"
	}
	rules := &ruleset.Ruleset{Tables: []*ruleset.Table{c.Table}}
	return replay.At([]*ruleset.Ruleset{rules}, replay.Hook{Family: family, Name: "prerouting"}, p, nil, replay.Options{Steps: true}).Steps
}

func parseAddress(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

// states are nft's words for the bits of ct state.
var states = []string{"invalid", "established", "related", "new", "untracked"}

// flows are the addresses and first bytes of transport headers that came by.
type flows map[string]bool

// state is the connection's state, by the counters of the rules that ask for
// one each. It is 0 for packets of flows that came by before: their connection
// holds more than a state.
func (f flows) state(b []byte, after, before []uint64) uint32 {
	key := string(b[9:10]) + string(b[12:24])
	back := string(b[9:10]) + string(b[16:20]) + string(b[12:16]) + string(b[22:24]) + string(b[20:22])
	if b[0]>>4 == 6 {
		key = string(b[6:7]) + string(b[8:44])
		back = string(b[6:7]) + string(b[24:40]) + string(b[8:24]) + string(b[42:44]) + string(b[40:42])
	}
	old := f[key] || f[back]
	f[key] = true
	bits := []uint32{ruleset.CTInvalid, ruleset.CTEstablished, ruleset.CTRelated, ruleset.CTNew, ruleset.CTUntracked}
	for i := range after {
		if after[i] != before[i] && !old {
			return bits[i]
		}
	}
	return 0
}
