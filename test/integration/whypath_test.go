package integration

import (
	"encoding/binary"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/test/nstest"
)

func TestWhyPath(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	const deny = "iptables-nft -P FORWARD DROP\n"
	through := func(port uint16) packet { return packet{port: port, to: serverIP} }
	proveAll(t, []proof{
		{
			name: "forward, iptables-nft", packet: through(6201), setup: deny,
			code: "forward-dropped", message: "it is forwarded from eth0 to eth1",
			fix: "iptables-nft -A FORWARD -s 192.0.2.2 -d 198.51.100.2 -p udp --dport 6201 -j ACCEPT",
		},
		{
			name: "forward, nft ip6", packet: packet{port: 6202, to: serverIP6},
			setup: "nft add table inet fw\nnft 'add chain inet fw f { type filter hook forward priority 0; policy drop; }'",
			code:  "forward-dropped",
			fix:   "nft add rule inet fw f ip6 saddr 2001:db8::2 ip6 daddr 2001:db8:1::2 udp dport 6202 accept",
		},
		{
			name: "forward, Docker", packet: through(6203), setup: dockerChains,
			code: "forward-dropped", message: "Docker's FORWARD policy",
			fix: "iptables-nft -I DOCKER-USER 1 -s 192.0.2.2 -d 198.51.100.2 -p udp --dport 6203 -j ACCEPT",
		},
		{
			name: "forward, libvirt", packet: through(6204),
			setup: "iptables-nft -N LIBVIRT_FWI\niptables-nft -A FORWARD -j LIBVIRT_FWI\n" +
				"iptables-nft -A LIBVIRT_FWI -o eth1 -j REJECT --reject-with icmp-port-unreachable",
			code: "forward-dropped", message: "libvirt's LIBVIRT_FWI rule 1",
			fix: "iptables-nft -I FORWARD 1 -s 192.0.2.2 -d 198.51.100.2 -p udp --dport 6204 -j ACCEPT",
		},
		{
			name: "Kubernetes", packet: through(6205),
			setup: "iptables-nft -N KUBE-FORWARD\niptables-nft -A FORWARD -j KUBE-FORWARD\niptables-nft -A KUBE-FORWARD -i eth0 -j DROP",
			code:  "forward-dropped", message: "Kubernetes' KUBE-FORWARD rule 1",
		},
		{
			name: "DNAT before FORWARD", packet: packet{port: 6212}, at: serverIP, send: toOld,
			setup: deny + "iptables-nft -t nat -A PREROUTING -p udp --dport 6211 -j DNAT --to-destination 198.51.100.2:6212\n" +
				"iptables-nft -A FORWARD -d 192.0.2.1 -p udp --dport 6211 -j ACCEPT",
			code: "dnat-before-forward", message: "speaks of 192.0.2.1:6211, but DNAT has made that 198.51.100.2:6212",
			fix: "iptables-nft -A FORWARD -d 198.51.100.2 -p udp --dport 6212 -j ACCEPT",
		},
		{
			name: "NAT not matched", packet: packet{port: 6213}, at: serverIP,
			setup: "iptables-nft -P INPUT DROP\niptables-nft -t nat -A PREROUTING -i eth1 -p udp --dport 6213 -j DNAT --to-destination 198.51.100.2",
			code:  "nat-not-matched", message: "asks for interface eth1, and its is eth0",
			fix: "iptables-nft -t nat -I PREROUTING 1 -i eth0 -s 192.0.2.2 -p udp --dport 6213 -j DNAT --to-destination 198.51.100.2",
		},
		{
			name: "NAT not matched, nft", packet: packet{port: 6214}, at: serverIP,
			setup: "nft add table ip fw\nnft 'add chain ip fw in { type filter hook input priority 0; policy drop; }'\n" +
				"nft 'add chain ip fw pre { type nat hook prerouting priority -100; }'\n" +
				"nft add rule ip fw pre ip daddr 198.51.100.1 udp dport 6214 dnat to 198.51.100.2",
			code: "nat-not-matched", message: "asks for destination 198.51.100.1, and its is 192.0.2.1",
			fix: "nft insert rule ip fw pre handle 3 ip saddr 192.0.2.2 ip daddr 192.0.2.1 udp dport 6214 dnat to 198.51.100.2",
		},
		{
			name: "forwarding off", packet: through(6221), setup: "sysctl -q -w net.ipv4.ip_forward=0",
			code: "ip-forward-off", message: "does not forward packets (net.ipv4.ip_forward is 0)",
			fix: "sysctl -w net.ipv4.ip_forward=1",
		},
		{
			name: "forwarding off, ip6", packet: packet{port: 6222, to: serverIP6}, setup: "sysctl -q -w net.ipv6.conf.all.forwarding=0",
			code: "ip-forward-off", fix: "sysctl -w net.ipv6.conf.all.forwarding=1",
		},
		{
			name: "no such address here", packet: packet{port: 6232, to: "192.0.2.77"}, setup: "sysctl -q -w net.ipv4.ip_forward=0",
			prepare: func(t *testing.T, l *lab) { mistake(t, l, "192.0.2.77") },
			code:    "not-local", message: "it came in by eth0 for 192.0.2.77, which no interface of this host has",
		},
		{
			name: "no such address here, ip6", packet: packet{port: 6233, to: "2001:db8::77"}, setup: "sysctl -q -w net.ipv6.conf.all.forwarding=0",
			prepare: func(t *testing.T, l *lab) { mistake(t, l, "2001:db8::77") },
			code:    "not-local", message: "for 2001:db8::77, which no interface of this host has",
		},
		{
			name: "no route", packet: packet{port: 6223, to: "203.0.113.5"}, at: serverIP,
			prepare: func(t *testing.T, l *lab) { configure(t, l.server, "addr add 203.0.113.5/32 dev eth0\n") },
			code:    "no-route", message: "there is no route to 203.0.113.5",
			fix: "ip route add 203.0.113.5 via GATEWAY", choose: map[string]string{"GATEWAY": serverIP},
		},
		{
			name: "reverse path", packet: packet{port: 6224}, setup: "sysctl -q -w net.ipv4.conf.eth0.rp_filter=1",
			send: sendFrom("198.51.100.77", packet{port: 6224}),
			code: "rp-filter", message: "answers to its source 198.51.100.77 leave by eth1",
			fix: "sysctl -w net.ipv4.conf.eth0.rp_filter=2",
		},
		{
			name: "martian", packet: packet{port: 6225}, send: sendFrom("198.51.100.1", packet{port: 6225}),
			code: "martian", message: "198.51.100.1 is one of this host's own addresses",
		},
		{
			name: "no listener", packet: packet{port: 6226},
			prepare: func(t *testing.T, l *lab) { listenLocally(t, l.host, 6226) },
			code:    "no-listener", message: "listens only at 127.0.0.1, not at 192.0.2.1",
		},
		{
			name: "TTL", packet: through(6227), send: sendTTL(1, through(6227)),
			code: "ttl", message: "192.0.2.2 to 198.51.100.2",
		},
		{
			name: "checksum", packet: packet{port: 6228}, listens: true, send: sendRaw(unix.IPPROTO_UDP, hostIP, func() []byte {
				b := binary.BigEndian.AppendUint16(nil, 40000)
				b = binary.BigEndian.AppendUint16(b, 6228)
				b = binary.BigEndian.AppendUint16(b, 12)
				return append(b, 0x12, 0x34, 'b', 'a', 'd', '!')
			}),
			code: "checksum", message: "UDP checksum wrong",
		},
		{
			name: "invalid", packet: packet{port: 6229}, setup: "iptables-nft -A INPUT -m conntrack --ctstate INVALID -j DROP",
			// An answer without a question: to conntrack no beginning of anything.
			send: sendRaw(unix.IPPROTO_TCP, hostIP, func() []byte { return tcpHeader(clientIP, hostIP, 40000, 6229, 0x12) }),
			code: "conntrack-invalid", message: "it answers a SYN that conntrack has not seen",
		},
		{
			name: "middle of an unknown connection", packet: packet{port: 6231},
			setup: "iptables-nft -A INPUT -p tcp ! --syn -m conntrack --ctstate NEW -j DROP",
			send:  sendRaw(unix.IPPROTO_TCP, hostIP, func() []byte { return tcpHeader(clientIP, hostIP, 40000, 6231, 0x10) }),
			code:  "connection-unknown", message: "its TCP flags (ack) are from the middle of a connection, and conntrack knows none",
		},
		{
			name: "scan", packet: packet{port: 6230}, setup: "iptables-nft -P INPUT DROP",
			send: sendRaw(unix.IPPROTO_TCP, hostIP, func() []byte { return tcpHeader(clientIP, hostIP, 40000, 6230, 0x29) }),
			code: "meant-drop", message: "an Xmas scan",
		},
	})
}

// mistake lets the client take the host for the one that has the address.
func mistake(t *testing.T, l *lab, address string) {
	t.Helper()
	var mac string
	within(t, l.host, func() error {
		link, err := netlink.LinkByName("eth0")
		if err == nil {
			mac = link.Attrs().HardwareAddr.String()
		}
		return err
	})
	configure(t, l.client, "neigh replace "+address+" lladdr "+mac+" dev eth0\n")
}

// toOld sends to the address and port that DNAT changes.
func toOld(t *testing.T, l *lab) {
	t.Helper()
	packet{port: 6211}.send(t, l)
}

const dockerChains = `iptables-nft -P FORWARD DROP
iptables-nft -N DOCKER
iptables-nft -N DOCKER-ISOLATION-STAGE-1
iptables-nft -N DOCKER-ISOLATION-STAGE-2
iptables-nft -N DOCKER-USER
iptables-nft -A FORWARD -j DOCKER-USER
iptables-nft -A FORWARD -j DOCKER-ISOLATION-STAGE-1
iptables-nft -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-nft -A FORWARD -o docker0 -j DOCKER
iptables-nft -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
iptables-nft -A FORWARD -i docker0 -o docker0 -j ACCEPT
iptables-nft -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
iptables-nft -A DOCKER-ISOLATION-STAGE-1 -j RETURN
iptables-nft -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
iptables-nft -A DOCKER-ISOLATION-STAGE-2 -j RETURN
iptables-nft -A DOCKER-USER -j RETURN
`

func listenLocally(t *testing.T, ns string, port uint16) {
	t.Helper()
	fd := -1
	within(t, ns, func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)})
	})
	t.Cleanup(func() { unix.Close(fd) })
}
