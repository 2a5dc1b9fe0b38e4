package filter_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter"
)

// random makes up filters and events out of few values, so that they meet.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 0))} }

func pick[T any](r random, list ...T) T { return list[r.IntN(len(list))] }

// oneIn is true in one of n cases.
func (r random) oneIn(n int) bool { return r.IntN(n) == 0 }

func (r random) port() uint16 {
	return pick(r, 80, 8080, 53, 40022, 0, 65535, uint16(r.Uint32()))
}

func (r random) proto() uint8 {
	return pick(r, 6, 6, 6, 17, 17, 1, 58, 132, 136, 33, 47, 50, 51, 0, 43, 44, 60, uint8(r.Uint32()))
}

func (r random) addrs(v6 bool) (src, dst string) {
	pool := []string{"192.0.2.1", "192.0.2.77", "10.0.0.2", "198.51.100.7"}
	if v6 {
		pool = []string{"2001:db8::1", "2001:db8::1:2", "fe80::1", "::ffff:10.0.0.2"}
	}
	return pick(r, pool...), pick(r, pool...)
}

func (r random) flow(v6 bool) flow {
	src, dst := r.addrs(v6)
	return flow{r.proto(), src, dst, r.port(), r.port()}
}

func (r random) name() string {
	return pick(r, "", "eth0", "eth1", "veth12", "br-lan", "abcdefghijklmno", "abcdefghijklmnop")
}

// ip returns a packet: plain, with extension headers, in fragments, or an error
// that quotes another one as often as level allows.
func (r random) ip(v6 bool, level int) []byte {
	f := r.flow(v6)
	if level > 0 && r.oneIn(3) {
		f.proto = 1
		types := []byte{3, 4, 5, 11, 12, 8}
		if v6 {
			f.proto, types = 58, []byte{1, 2, 3, 4, 5, 128}
		}
		b := append([]byte{pick(r, types...)}, make([]byte, 7)...)
		return f.header(append(b, r.ip(v6 != r.oneIn(20), level-1)...))
	}
	if !v6 {
		b := f.packet()
		if r.oneIn(4) {
			binary.BigEndian.PutUint16(b[6:], pick(r, 0x2000, 0x4000, 0x2001, 0x00b9, uint16(0x8000)))
		}
		if r.oneIn(6) { // lengths around those of the headers
			binary.BigEndian.PutUint16(b[2:], pick(r, 0, 19, 20, 23, 24, 27, uint16(28)))
		}
		if r.oneIn(10) {
			b[0] = pick(r, 0x40, 0x44, 0x46, byte(0x4f))
		}
		return b
	}
	b := f.ports()
	if r.oneIn(8) { // about as many as are followed
		for range 6 + r.IntN(5) {
			b = append([]byte{f.proto, 0, 0, 0, 0, 0, 0, 0}, b...)
			f.proto = pick(r, 0, uint8(60))
		}
	}
	for range r.IntN(pick(r, 1, 1, 4)) {
		b = append(r.extension(f.proto), b...)
		f.proto = pick(r, 0, 43, 44, 60, uint8(51))
	}
	b = f.header(b)
	if r.oneIn(6) {
		binary.BigEndian.PutUint16(b[4:], pick(r, 0, 3, 4, 7, 8, 11, uint16(12)))
	}
	return b
}

func (r random) extension(next uint8) []byte {
	units := pick(r, 1, 1, 1, 2)
	b := make([]byte, 8*units)
	b[0], b[1] = next, byte(units-1)
	binary.BigEndian.PutUint16(b[2:], pick(r, 0, 0, 1, 8, 0x600, 0x601, uint16(6)))
	return b
}

// packet returns a packet's bytes with its EtherType, in most cases the right one.
func (r random) packet() (uint16, []byte) {
	v6 := r.oneIn(2)
	protocol, b := uint16(0x0800), r.ip(v6, 2)
	if v6 {
		protocol = 0x86dd
	}
	if r.oneIn(12) {
		length := pick(r, 6, 6, 20, byte(r.Uint32()))
		protocol = 0x0806
		b = append([]byte{0, 1, 8, 0, length, pick(r, 4, 4, 4, byte(16)), 0, 1}, make([]byte, 8+2*int(length))...)
		copy(b[8+int(length):], []byte{192, 0, 2, 1})
		copy(b[12+2*int(length):], []byte{10, 0, 0, 2})
	}
	for r.oneIn(4) {
		b = append(binary.BigEndian.AppendUint16([]byte{0, 5}, protocol), b...)
		protocol = pick(r, 0x8100, 0x88a8, uint16(0x8100))
	}
	if r.oneIn(10) {
		protocol = pick(r, 0, 0x0800, 0x86dd, 0x0806, 0x88cc, uint16(r.Uint32()))
	}
	for r.oneIn(4) { // lies
		b[r.IntN(len(b))] = byte(r.Uint32())
	}
	return protocol, b
}

func (r random) event() *event.Event {
	e := &event.Event{
		Type: event.Drop,
		Hook: pick(r, 0, 1, 2, 3, 4, 5, 6, uint8(event.NoHook)), PF: pick(r, 0, 1, 2, 2, 2, 3, 5, 7, 10, uint8(12)),
		Netns: pick(r, 0, 7, uint32(8)), Reason: pick(r, 0, 2, 11, 1<<16|uint32(3)),
		Mark: pick(r, 0, 1, 0x15, r.Uint32()),
		Rule: event.RuleInfo{Kind: pick(r, event.RuleNone, event.RuleNone, event.RuleNFT)},
	}
	e.Flags = event.Flag(r.Uint32()) &^ pick(r, 0, event.HookProbe|event.HookFrame, event.HookProbe)
	for i := range e.Header { // what lies behind the packet's end is not the packet
		e.Header[i] = byte(r.Uint32())
	}
	protocol, b := r.packet()
	setHeader(e, b)
	e.Protocol = protocol
	if r.oneIn(5) {
		e.HeaderLen = pick(r, uint16(r.IntN(len(b)+1)), 0, 160, 200, 65535)
	}
	copy(e.InName[:], r.name())
	copy(e.OutName[:], r.name())
	copy(e.DevName[:], r.name())
	e.CT = r.conntrack()
	return e
}

func (r random) conntrack() event.CTInfo {
	v6 := r.oneIn(2)
	ct := event.CTInfo{
		Present: pick(r, event.CTAbsent, event.CTEntry, event.CTEntry, event.CTUntracked),
		CTInfo:  uint8(r.IntN(8)), Original: r.flow(v6).tuple(), Reply: r.flow(v6).tuple(),
	}
	if r.oneIn(10) {
		ct.Reply.L3Num = 0
	}
	return ct
}

// values returns a list for a flag: mostly none, and now and then more than the
// kernel has room for.
func (r random) values(unset int, one func() string) []string {
	if !r.oneIn(unset) {
		return nil
	}
	var list []string
	for range pick(r, 1, 1, 2, 3, 8, 20) {
		list = append(list, one())
	}
	return list
}

func (r random) portValue() string {
	p := r.port()
	return fmt.Sprint(p) + pick(r, "", "", fmt.Sprintf("-%d", max(p, r.port())))
}

func (r random) hostValue() string {
	src, _ := r.addrs(false)
	bits := r.IntN(33)
	if r.oneIn(2) {
		src, _ = r.addrs(true)
		if src[0] == ':' { // a mapped one stands for IPv4
			src = "2001:db8::1:3"
		}
		bits = r.IntN(129)
	}
	return src + pick(r, "", fmt.Sprintf("/%d", bits))
}

func (r random) ifaceValue() string {
	n := r.name()
	return n[:min(len(n), r.IntN(16))] + pick(r, "+", "*") // any of them may be empty
}

func (r random) spec() filter.Spec {
	const seldom = 6
	hook := func() string { return filter.Hook(r.IntN(7)).String() }
	proto := func() string { return fmt.Sprint(r.proto()) }
	mark := func() string { return pick(r, "0", "1", "0x15", "0x10/0xf0", "0/0", "1/1") }
	name := func() string { return pick(r, "eth0", "eth1", "veth12", "abcdefghijklmno", r.ifaceValue()) }
	s := filter.Spec{
		Port: r.values(3, r.portValue), Sport: r.values(seldom, r.portValue), Dport: r.values(seldom, r.portValue),
		Host: r.values(seldom, r.hostValue), Src: r.values(seldom, r.hostValue), Dst: r.values(seldom, r.hostValue),
		Proto: r.values(seldom, proto), Mark: r.values(2*seldom, mark), Hook: r.values(seldom, hook),
		Iface: r.values(2*seldom, name), In: r.values(2*seldom, name), Out: r.values(2*seldom, name),
		Netfilter: r.oneIn(2 * seldom),
	}
	for range len(r.values(2*seldom, func() string { return "" })) {
		s.NetnsInodes = append(s.NetnsInodes, pick(r, 7, uint32(9)))
	}
	for range len(r.values(2*seldom, func() string { return "" })) {
		s.ReasonNumbers = append(s.ReasonNumbers, pick(r, 2, 11, 1<<16|uint32(3)))
	}
	return s
}
