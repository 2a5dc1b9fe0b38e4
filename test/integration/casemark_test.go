package integration

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// markCases: a drop by mark was decided where the mark was set.
func markCases() []aCase {
	return []aCase{
		{
			name: "mark set in mangle, dropped in filter",
			host: `iptables-nft -t mangle -A PREROUTING -p tcp -j MARK --set-mark 0x1
				iptables-nft -t mangle -A PREROUTING -s 192.0.2.0/24 -p udp --dport 7501 -j MARK --or-mark 0x8000
				iptables-nft -N MARKED
				iptables-nft -A MARKED -j DROP
				iptables-nft -A INPUT -m mark --mark 0x8000/0x8000 -j MARKED`,
			send: "client udp 192.0.2.1 7501", code: "marked",
			says: []string{"INPUT rule 1 drops what has the mark 0x8000/0x8000", "iptables-nft mangle PREROUTING rule 2", "-s 192.0.2.0/24"},
		},
		{
			name: "mark in nft, IPv6, forward",
			host: `nft add table inet m
				nft 'add chain inet m pre { type filter hook prerouting priority -150; }'
				nft add rule inet m pre ip6 saddr 2001:db8::/64 udp dport 7502 meta mark set 0x2
				nft add table inet f
				nft 'add chain inet f fw { type filter hook forward priority 0; }'
				nft add rule inet f fw meta mark 0x2 drop`,
			send: "client udp 2001:db8:1::2 7502", code: "marked", says: []string{"fw rule 1", "0x2", "nft inet m pre rule 1"},
		},
		{
			name: "a mark is lacking",
			host: `iptables-legacy -t mangle -A PREROUTING -i eth1 -p udp --dport 7503 -j MARK --set-mark 0x7
				iptables-legacy -A INPUT -p udp --dport 7503 -m mark ! --mark 0x7 -j DROP`,
			send: "client udp 192.0.2.1 7503", code: "marked", says: []string{"lacks the mark 0x7", "only iptables-legacy mangle PREROUTING rule 1 sets that one", "-i eth1"},
		},
		{
			name: "two rules that may have set it",
			host: `iptables-nft -t mangle -A PREROUTING -p udp --dport 7504 -m statistic --mode random --probability 1 -j MARK --set-mark 0x9
				iptables-nft -t mangle -A PREROUTING -p udp --dport 7504 -m recent --rcheck --name nobody -j MARK --set-mark 0x9
				iptables-nft -A INPUT -m mark --mark 0x9 -j DROP`,
			send: "client udp 192.0.2.1 7504", code: "",
		},
		{
			name: "Service without endpoints on this node",
			host: `iptables-nft -N KUBE-EXTERNAL-SERVICES
				iptables-nft -A INPUT -j KUBE-EXTERNAL-SERVICES
				iptables-nft -A KUBE-EXTERNAL-SERVICES -p udp -m comment --comment "shop/web:http has no local endpoints" -m addrtype --dst-type LOCAL -m udp --dport 7505 -j DROP`,
			send: "client udp 192.0.2.1 7505", code: "service-no-endpoints",
			says: []string{"the Service shop/web port http has no endpoints on this node", "externalTrafficPolicy", "kubectl -n shop get endpointslices"},
		},
		{
			name: "Service without endpoints",
			host: `iptables-legacy -N KUBE-SERVICES
				iptables-legacy -A FORWARD -j KUBE-SERVICES
				iptables-legacy -A KUBE-SERVICES -d 198.51.100.2/32 -p tcp -m comment --comment "shop/db has no endpoints" -m tcp --dport 7506 -j REJECT`,
			send: "client tcp 198.51.100.2 7506", code: "service-no-endpoints", says: []string{"the Service shop/db has no endpoints:", "selector"}, never: []string{"externalTrafficPolicy"},
		},
	}
}

// invalidCases: what conntrack has, or has not, of an invalid packet's connection.
func invalidCases() []aCase {
	const drop = `iptables-nft -A INPUT -m conntrack --ctstate INVALID -j DROP
		`
	return []aCase{
		{
			name: "answer to a SYN that nobody sent", host: drop, by: segment(7511, 40511, 0x12), port: 7511,
			code: "conntrack-invalid", says: []string{"INPUT rule 1", "conntrack has no connection of its addresses and ports", "a SYN that conntrack has not seen"},
		},
		{
			name: "reset of nothing, nft", port: 7512, by: segment(7512, 40512, 0x04),
			host: `nft add table inet f
				nft 'add chain inet f in { type filter hook input priority 0; }'
				nft add rule inet f in ct state invalid drop`,
			code: "conntrack-invalid", says: []string{"conntrack has no connection of its addresses and ports", "the connection that it resets"},
		},
		{
			name: "outside of the window", host: drop, ready: connected3(7513, 40513), by: segment(7513, 40513, 0x10), port: 7513,
			code: "conntrack-invalid", says: []string{"conntrack has its connection as established", "outside of the window", "nf_conntrack_tcp_be_liberal"},
			fix: "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1", works: true,
			connects: notCounted(segment(7513, 40513, 0x10)),
		},
		{
			name: "established, and conntrack is liberal", host: drop + "sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1",
			ready: connected3(7514, 40514), by: segment(7514, 40514, 0x10, 0xff), port: 7514,
			code: "conntrack-invalid", says: []string{"its checksum is wrong"}, never: []string{"outside of the window"},
		},
		{
			name: "a SYN with a wrong checksum", host: drop, by: segment(7515, 40515, 0x02, 0xff), port: 7515,
			code: "conntrack-invalid", says: []string{"its checksum is wrong"}, never: []string{"is over", "no connection"},
		},
	}
}

// connected3 opens a connection from the client's port and keeps it.
func connected3(port, from uint16) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		answerAt(t, l.host, what{protocol: "tcp", to: netip.MustParseAddr(hostIP), port: port})
		within(t, l.client, func() error {
			d := net.Dialer{LocalAddr: &net.TCPAddr{Port: int(from)}, Timeout: limit}
			c, err := d.Dial("tcp4", net.JoinHostPort(hostIP, strconv.Itoa(int(port))))
			if err == nil {
				t.Cleanup(func() { c.Close() })
			}
			return err
		})
	}
}

// segment sends one TCP segment of the client's with a sequence number that no
// connection has. spoil is XORed to its checksum.
func segment(port, from uint16, flags byte, spoil ...byte) func(*testing.T, *lab) {
	return sendRaw(unix.IPPROTO_TCP, hostIP, func() []byte {
		b := make([]byte, 20)
		binary.BigEndian.PutUint16(b, from)
		binary.BigEndian.PutUint16(b[2:], port)
		binary.BigEndian.PutUint32(b[4:], 0x12345678)
		binary.BigEndian.PutUint32(b[8:], 0x12345678)
		b[12], b[13], b[15] = 5<<4, flags, 64
		pseudo := append(netip.MustParseAddr(clientIP).AsSlice(), netip.MustParseAddr(hostIP).AsSlice()...)
		pseudo = append(pseudo, 0, unix.IPPROTO_TCP, 0, 20)
		var sum uint32
		for _, part := range [][]byte{pseudo, b} {
			for i := 0; i < len(part); i += 2 {
				sum += uint32(part[i])<<8 | uint32(part[i+1])
			}
		}
		for sum > 0xffff {
			sum = sum&0xffff + sum>>16
		}
		binary.BigEndian.PutUint16(b[16:], ^uint16(sum))
		for _, x := range spoil {
			b[16] ^= x
		}
		return b
	})
}

// notCounted reports whether the host's only rule lets a packet pass.
func notCounted(send func(*testing.T, *lab)) func(*testing.T, *lab) error {
	packets := regexp.MustCompile(`counter packets ([0-9]+)`)
	return func(t *testing.T, l *lab) error {
		t.Helper()
		count := func() string {
			return packets.FindString(command(t, "", "ip", "netns", "exec", l.host, "nft", "list", "ruleset"))
		}
		before := count()
		send(t, l)
		time.Sleep(20 * time.Millisecond) // the softirq runs inside of send
		if after := count(); after != before {
			return fmt.Errorf("the rule counted it: %s", after)
		}
		return nil
	}
}
