package expression_test

import (
	"encoding/binary"
	"math/rand/v2"
)

// random makes up frames out of few values, so that expressions meet them.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 0))} }

func pick[T any](r random, list ...T) T { return list[r.IntN(len(list))] }

func (r random) oneIn(n int) bool { return r.IntN(n) == 0 }

func (r random) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// frame returns the captured bytes of a frame, and the length it had.
func (r random) frame() (b []byte, length int) {
	b = r.ethernet()
	for r.oneIn(3) && len(b) > 0 { // lies
		b[r.IntN(len(b))] = byte(r.Uint32())
	}
	length = len(b)
	switch r.IntN(10) {
	case 0: // cut anywhere
		b = b[:r.IntN(len(b)+1)]
	case 1: // a short frame
		b = b[:r.IntN(len(b)+1)]
		length = len(b)
	case 2:
		b = r.bytes(r.IntN(200))
		length = len(b)
	}
	return b, length
}

func (r random) ethernet() []byte {
	mac := func() []byte {
		return pick(r, []byte{2, 0, 0, 0, 0, 1}, []byte{2, 0, 0, 0, 0, 2}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []byte{1, 0, 0x5e, 0, 0, 1})
	}
	b := append(append([]byte{}, mac()...), mac()...)
	for r.oneIn(4) {
		b = append(b, pick(r, []byte{0x81, 0}, []byte{0x81, 0}, []byte{0x88, 0xa8}, []byte{0x91, 0})...)
		b = append(b, be16(pick(r, 5, 7, 100, uint16(r.Uint32())))...)
	}
	switch r.IntN(12) {
	case 0:
		return append(append(b, 8, 6), r.arp()...)
	case 1:
		return append(append(b, be16(pick(r, 0x88cc, 0x8863, 0x8847, 0x8035, 40, uint16(r.Uint32())))...), r.bytes(r.IntN(80))...)
	case 2, 3, 4, 5:
		return append(append(b, 0x86, 0xdd), r.ip6()...)
	}
	return append(append(b, 8, 0), r.ip4()...)
}

func (r random) ip4Address() []byte {
	return pick(r, []byte{10, 0, 0, 1}, []byte{10, 0, 0, 2}, []byte{192, 0, 2, 1}, []byte{192, 0, 2, 77}, []byte{224, 0, 0, 1}, []byte{255, 255, 255, 255})
}

func (r random) ip6Address() []byte {
	a := make([]byte, 16)
	copy(a, []byte{0x20, 1, 0x0d, 0xb8})
	a[15] = pick(r, 1, 2, byte(r.Uint32()))
	return pick(r, a, a, append([]byte{0xff, 2}, a[2:]...))
}

func (r random) arp() []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, pick(r, 1, byte(2))}
	b = append(append(b, 2, 0, 0, 0, 0, 1), r.ip4Address()...)
	return append(append(b, 2, 0, 0, 0, 0, 2), r.ip4Address()...)
}

func (r random) protocol(v6 bool) byte {
	icmp := byte(1)
	if v6 {
		icmp = 58
	}
	return pick(r, 6, 6, 6, 17, 17, icmp, icmp, 132, 47, 50, byte(r.Uint32()))
}

func (r random) ip4() []byte {
	protocol := r.protocol(false)
	payload := r.transport(protocol)
	options := pick(r, 0, 0, 0, 4, 12, 40)
	b := []byte{0x45 + byte(options/4), pick(r, 0, 0, byte(0xb8))}
	b = append(b, be16(uint16(20+options+len(payload)))...)
	b = append(b, r.bytes(2)...)
	b = append(b, be16(pick(r, 0, 0x4000, 0x4000, 0x2000, 0x2001, uint16(0x00b9)))...)
	b = append(b, pick(r, 64, 1, byte(255)), protocol, 0, 0)
	b = append(append(b, r.ip4Address()...), r.ip4Address()...)
	return append(append(b, r.bytes(options)...), payload...)
}

func (r random) ip6() []byte {
	protocol := r.protocol(true)
	payload := r.transport(protocol)
	if r.oneIn(5) {
		payload = append([]byte{protocol, 0, 0, pick(r, 0, byte(8)), 0, 0, 0, 0}, payload...)
		protocol = pick(r, 0, 43, 44, byte(60))
	}
	b := append([]byte{0x60, 0, 0, 0}, be16(uint16(len(payload)))...)
	b = append(b, protocol, pick(r, 64, byte(255)))
	b = append(append(b, r.ip6Address()...), r.ip6Address()...)
	return append(b, payload...)
}

func (r random) port() []byte {
	return be16(pick(r, 80, 80, 443, 53, 8080, 40022, 6000, uint16(r.Uint32())))
}

func (r random) payload() []byte {
	text := pick(r, "GET / HTTP/1.1\r\n", "POST /", "SSH-2.0-", "")
	return append([]byte(text), r.bytes(r.IntN(pick(r, 1, 20, 600)))...)
}

func (r random) transport(protocol byte) []byte {
	switch protocol {
	case 6:
		options := pick(r, 0, 0, 4, 12, 40)
		b := append(append(r.port(), r.port()...), r.bytes(8)...)
		b = append(b, byte(20+options)<<2, pick(r, 2, 0x12, 0x10, 0x18, 4, 0x11, byte(r.Uint32())))
		return append(append(b, r.bytes(6+options)...), r.payload()...)
	case 17, 132:
		p := r.payload()
		b := append(append(r.port(), r.port()...), be16(uint16(8+len(p)))...)
		return append(append(b, 0, 0), p...)
	case 1, 58:
		b := append([]byte{pick(r, 0, 3, 8, 11, 128, 129, 135, byte(1)), pick(r, 0, 1, byte(4))}, r.bytes(6)...)
		return append(b, r.payload()...)
	}
	return r.payload()
}

// expressions are what people write, and what tries each instruction.
var expressions = []string{
	"", "ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "sctp", "not arp", "ip or arp", "igmp or esp or ah or pim or vrrp",
	"tcp port 80", "tcp port 80 and host 10.0.0.1", "port 53", "udp port 53", "src port 80", "dst port 443", "sctp port 80",
	"port 80 or port 443 or port 8080", "not port 22 and not port 80", "portrange 6000-8080", "tcp dst portrange 1-1024",
	"host 10.0.0.1", "src host 10.0.0.1", "dst 192.0.2.77", "host 2001:db8::1", "src 2001:db8::2", "net 10.0.0.0/8", "dst net 192.0.2.0/24",
	"net 2001:db8::/32", "src net 10", "host 10.0.0.1 and not host 10.0.0.2", "arp host 10.0.0.1", "ip host 10.0.0.1",
	"ether host 02:00:00:00:00:01", "ether src 02:00:00:00:00:01", "ether dst 02:00:00:00:00:02", "broadcast", "ether broadcast",
	"multicast", "ip multicast", "ip6 multicast", "ip broadcast", "ether proto 0x88cc", "ether proto \\ip", "ether[0] & 1 != 0",
	"vlan", "vlan 5", "vlan and tcp", "vlan 100 and tcp port 80", "vlan and vlan 7", "not vlan", "vlan or port 53", "not vlan and tcp port 80",
	"mpls", "pppoes", "llc", "stp", "ip proto 47", "ip proto \\tcp", "ip6 proto 58", "proto 17", "ip6 proto 44", "ip6[6] = 44 and ip6[40] = 6",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "tcp[tcpflags] == tcp-syn", "tcp[13] = 2", "tcp[tcpflags] & tcp-rst != 0 and not src net 10.0.0.0/8",
	"tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
	"udp[8:4] = 0x47455420", "udp[100:4] > 0x80000000", "udp[4:2] > 100", "icmp[icmptype] == icmp-echo", "icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply",
	"icmp6[icmp6type] == 135", "icmp6 and ip6[40] == 128", "ip[6:2] & 0x1fff != 0", "ip[6] & 0x20 != 0", "ip[8] < 5", "ip[0] & 0xf != 5", "ip6[7] = 255",
	"less 100", "greater 200", "len > 60 and tcp", "len <= 60", "len != 54", "ip[2:2] > len - 20",
	"ip[0] << ip[1] = 3", "ip[1] >> ip[8] = 0", "ip[0] << ip[8] != 0", "ip[2:2] / ip[1] = 1", "ip[2:2] % 7 = 3", "ip[4:2] * 3 > 70000", "ip[4:2] ^ ip[6:2] = 0",
	"ip[4:2] % ip[8] = 0", "ip[4:4] | 1 = ip[4:4]", "ip[4:4] & 0xff = 0x80", "-ip[4:2] < 0", "ip[4:2] - ip[6:2] > 0x80000000", "ip[ip[0] & 0xf] = 0",
	"ip[ip[2:2]] = 0", "ip[ip[8]] > 100", "ether[ether[14]:2] = 0", "ether[12:2] = 0x800", "ether[60:4] != 0", "ether[500] >= 128", "ip[70000] = 1",
	"tcp[ip[8]:2] > 0x4000", "udp[udp[4:2] - 1] = 0", "(tcp or udp) and (host 10.0.0.1 or host 10.0.0.2 or host 2001:db8::1) and not port 53",
	"tcp src port 80 and tcp[tcpflags] & tcp-ack != 0", "ip and not tcp and not udp", "0 = 0", "ip[0] = 0x45 || ip6",
}
