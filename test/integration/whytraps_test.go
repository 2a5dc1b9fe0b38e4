package integration

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/test/nstest"
)

// TestWhyTraps has causes of which a plain reading of the rules tells the wrong
// one, or a fix that opens too much or not enough.
func TestWhyTraps(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	const (
		deny = "iptables-nft -P INPUT DROP\n"
		open = "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; }'\n"
		shut = "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'\n" +
			"nft add rule inet fw in meta l4proto icmpv6 accept\n"
		logdrop = "iptables-nft -N LOGDROP\niptables-nft -A LOGDROP -m limit --limit 3/min -j LOG\niptables-nft -A LOGDROP -j DROP\n"
	)
	proveAll(t, []proof{
		{
			name: "blocklist by a chain that logs and drops", packet: packet{port: 6701}, listens: true,
			setup: logdrop + "ipset create blocklist hash:net\nipset add blocklist 192.0.2.0/24\n" +
				"iptables-nft -A INPUT -m set --match-set blocklist src -j LOGDROP\niptables-nft -A INPUT -p udp --dport 6701 -j ACCEPT",
			code: "meant-drop", message: "192.0.2.2 is in the blocklist blocklist of INPUT rule 1",
		},
		{
			name: "invalid, by a chain that logs and drops", packet: packet{port: 6702},
			setup: logdrop + "iptables-nft -A INPUT -m conntrack --ctstate INVALID -j LOGDROP\niptables-nft -A INPUT -p tcp --dport 6702 -j ACCEPT",
			send:  sendRaw(unix.IPPROTO_TCP, hostIP, func() []byte { return tcpHeader(clientIP, hostIP, 40000, 6702, 0x12) }),
			code:  "conntrack-invalid", message: "INPUT rule 1 drops what is",
		},
		{
			name: "invalid, by policy", packet: packet{port: 6703}, listens: true,
			setup: deny + "iptables-nft -A INPUT -p tcp --dport 6703 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",
			send:  sendRaw(unix.IPPROTO_TCP, hostIP, func() []byte { return tcpHeader(clientIP, hostIP, 40000, 6703, 0x12) }),
			code:  "conntrack-invalid", message: "no rule of INPUT accepts it so before the INPUT policy: conntrack has no connection of its addresses and ports: it answers a SYN",
		},
		{
			name: "all dropped by a chain, accepted below", packet: packet{port: 6704},
			setup: logdrop + "iptables-nft -A INPUT -j LOGDROP\niptables-nft -A INPUT -p udp --dport 6704 -j ACCEPT",
			code:  "accept-below-drop", message: "stands below LOGDROP rule 2",
			fix: "iptables-nft -I INPUT 1 -p udp -m udp --dport 6704 -j ACCEPT",
		},
		{
			name: "a drop between the two", packet: packet{port: 6705},
			setup: "iptables-nft -A INPUT -p udp --dport 6700:6799 -j DROP\niptables-nft -A INPUT -s 203.0.113.0/24 -j DROP\n" +
				"iptables-nft -A INPUT -p udp --dport 6705 -j ACCEPT",
			code: "accept-below-drop", fix: "iptables-nft -I INPUT 1 -s 192.0.2.2 -p udp --dport 6705 -j ACCEPT",
		},
		{
			name: "one network accepted below a drop of all", packet: packet{port: 6706},
			setup: "iptables-nft -A INPUT -i eth0 -j DROP\niptables-nft -A INPUT -s 192.0.2.0/24 -j ACCEPT",
			code:  "accept-below-drop", fix: "iptables-nft -I INPUT 1 -s 192.0.2.2 -p udp --dport 6706 -j ACCEPT",
		},
		{
			name: "flood protection", packet: packet{port: 6717}, prepare: packet{port: 6717}.send,
			setup: "iptables-legacy -N FLOOD\niptables-legacy -A FLOOD -m limit --limit 1/hour --limit-burst 1 -j RETURN\n" +
				"iptables-legacy -A FLOOD -j DROP\niptables-legacy -A INPUT -p udp -j FLOOD\niptables-legacy -A INPUT -p udp --dport 6717 -j ACCEPT",
			code: "rate-limit", message: "FLOOD rule 1 lets it through only up to a limit", choose: map[string]string{"LIMIT": "1000/sec"},
			fix: "iptables-legacy -R FLOOD 1 -m limit --limit LIMIT --limit-burst 1 -j RETURN",
		},
		{
			name: "left out by name", packet: packet{port: 6707}, code: "source-too-narrow",
			setup:   deny + "iptables-nft -A INPUT ! -s 192.0.2.0/24 -p udp --dport 6707 -j ACCEPT",
			message: "only from others than 192.0.2.0/24, and it came from 192.0.2.2",
		},
		{
			name: "left out by a set", packet: packet{port: 6708}, code: "source-too-narrow",
			setup: shut + "nft 'add set inet fw evil { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 }; }'\n" +
				"nft add rule inet fw in ip saddr != @evil udp dport 6708 accept",
			message: "only from others than the set evil",
		},
		{
			name: "port left out by name", packet: packet{port: 6709}, listens: true, code: "listening-not-allowed",
			setup:   deny + "iptables-nft -A INPUT -p udp -m multiport ! --dports 6709,22 -j ACCEPT",
			message: "INPUT rule 1 accepts only ports that are others than",
		},
		{
			name: "source port for destination port", packet: packet{port: 6710}, listens: true, code: "listening-not-allowed",
			setup:   deny + "iptables-nft -A INPUT -p udp --sport 6710 -j ACCEPT",
			message: "nearest is INPUT rule 1, which asks for source port 6710",
			fix:     "iptables-nft -A INPUT -s 192.0.2.2 -p udp --dport 6710 -j ACCEPT",
		},
		{
			name: "not now", packet: packet{port: 6711}, listens: true, code: "listening-not-allowed",
			setup:   deny + "iptables-nft -A INPUT -p udp --dport 6711 -m recent --rcheck --name knocked -j ACCEPT",
			message: "INPUT rule 1 accepts it only with -m recent --rcheck --name knocked",
		},
		{
			name: "a set with other users", packet: packet{port: 6712}, code: "set-member", message: "and 192.0.2.2 is not",
			setup: shut + "nft 'add set inet fw admins { type ipv4_addr; elements = { 198.51.100.1 }; }'\n" +
				"nft add rule inet fw in ip saddr @admins udp dport 6712 accept\nnft add rule inet fw in ip saddr @admins tcp dport 22 accept",
			fix: "nft add rule inet fw in ip saddr 192.0.2.2 udp dport 6712 accept",
		},
		{
			name: "a set of ports", packet: packet{port: 6713}, listens: true, code: "listening-not-allowed",
			setup: shut + "nft 'add set inet fw services { type inet_service; elements = { 22, 80 }; }'\n" +
				"nft add rule inet fw in udp dport @services accept",
			message: "for ports in the set services", fix: "nft add rule inet fw in ip saddr 192.0.2.2 udp dport 6713 accept",
		},
		{
			name: "verdict map to a chain that drops", packet: packet{port: 6714}, code: "verdict-map",
			setup: open + "nft add chain inet fw bad\nnft add rule inet fw bad counter drop\n" +
				"nft 'add rule inet fw in udp dport vmap { 6714 : goto bad, 6715 : accept }'",
			message: "the verdict map of in rule 1 (handle 5) sends 6714 to bad, where bad rule 1 (handle 3) drops it",
		},
		{
			name: "goto away from the end", packet: packet{port: 6716}, listens: true, code: "listening-not-allowed",
			setup: shut + "nft add chain inet fw lan\nnft add rule inet fw lan udp dport 1 accept\nnft add rule inet fw in iifname eth0 goto lan\n" +
				"nft add rule inet fw in iifname lo accept",
			fix: "nft insert rule inet fw in handle 5 ip saddr 192.0.2.2 udp dport 6716 accept",
		},
	})
}

// TestWhyTrapsOfTheWay has packets that something drops behind the drop, too.
func TestWhyTrapsOfTheWay(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	reply, replied := asks(6731)
	dial, connected := dials(6732)
	proveAll(t, []proof{
		{
			name: "raw, then INPUT", packet: packet{port: 6721}, listens: true, code: "policy-drop-no-accept",
			setup: "iptables-nft -P INPUT DROP\niptables-nft -t raw -A PREROUTING -p udp -j DROP",
			fix: "iptables-nft -t raw -I PREROUTING 1 -s 192.0.2.2 -d 192.0.2.1 -p udp --dport 6721 -j ACCEPT && " +
				"NETNS iptables-nft -A INPUT -s 192.0.2.2 -p udp --dport 6721 -j ACCEPT",
		},
		{
			name: "mangle, then FORWARD", packet: packet{port: 6722, to: serverIP}, code: "policy-drop-no-accept",
			setup: "iptables-nft -P FORWARD DROP\niptables-nft -t mangle -P PREROUTING DROP",
			fix: "iptables-nft -t mangle -A PREROUTING -s 192.0.2.2 -d 198.51.100.2 -p udp --dport 6722 -j ACCEPT && " +
				"NETNS iptables-nft -A FORWARD -s 192.0.2.2 -d 198.51.100.2 -p udp --dport 6722 -j ACCEPT",
		},
		{
			name: "forward, then postrouting", packet: packet{port: 6723, to: serverIP6}, code: "forward-dropped",
			setup: "nft add table inet fw\nnft 'add chain inet fw f { type filter hook forward priority 0; policy drop; }'\n" +
				"nft 'add chain inet fw p { type filter hook postrouting priority 0; policy drop; }'\nnft add rule inet fw p meta l4proto icmpv6 accept",
			fix: "nft add rule inet fw f ip6 saddr 2001:db8::2 ip6 daddr 2001:db8:1::2 udp dport 6723 accept && " +
				"NETNS nft add rule inet fw p ip6 daddr 2001:db8:1::2 udp dport 6723 accept",
		},
		{
			name: "NAT, then FORWARD", packet: packet{port: 6724}, at: serverIP, code: "nat-not-matched",
			setup: "iptables-nft -P INPUT DROP\niptables-nft -P FORWARD DROP\n" +
				"iptables-nft -t nat -A PREROUTING -i eth1 -p udp --dport 6724 -j DNAT --to-destination 198.51.100.2",
			fix: "iptables-nft -t nat -I PREROUTING 1 -i eth0 -s 192.0.2.2 -p udp --dport 6724 -j DNAT --to-destination 198.51.100.2 && " +
				"NETNS iptables-nft -A FORWARD -s 192.0.2.2 -d 198.51.100.2 -p udp --dport 6724 -j ACCEPT",
		},
		{
			name: "NAT rule that nothing leads to", packet: packet{port: 6725}, code: "nat-not-matched",
			setup: "iptables-nft -P INPUT DROP\niptables-nft -t nat -N LAN\niptables-nft -t nat -A PREROUTING -i eth1 -j LAN\n" +
				"iptables-nft -t nat -A LAN -s 10.0.0.0/8 -p udp --dport 6725 -j DNAT --to-destination 198.51.100.2",
			message: "but asks for source 10.0.0.0/8, and its is 192.0.2.2",
		},
		{
			name: "NAT by a map", packet: packet{port: 6726}, code: "nat-not-matched",
			setup: "nft add table ip fw\nnft 'add chain ip fw in { type filter hook input priority 0; policy drop; }'\n" +
				"nft 'add chain ip fw pre { type nat hook prerouting priority -100; }'\n" +
				"nft 'add rule ip fw pre iifname eth1 udp dport 6726 dnat to ip daddr map { 192.0.2.1 : 198.51.100.2 }'",
			message: "pre rule 1 (handle 4) would translate its destination, but asks for interface eth1",
		},
		{
			name: "not tracked", packet: packet{port: 6731}, send: reply, arrives: replied, code: "untracked",
			setup: "iptables-nft -P INPUT DROP\niptables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n" +
				"iptables-nft -t raw -A OUTPUT -p udp --dport 53 -j NOTRACK\niptables-nft -t raw -A PREROUTING -p udp --sport 53 -j NOTRACK",
			message: "iptables-nft raw PREROUTING rule 1 keeps conntrack from it (notrack), so INPUT rule 1",
		},
		{
			name: "answer where nothing is tracked", packet: packet{port: 6732}, send: dial, arrives: connected,
			setup: "iptables-legacy -P INPUT DROP", code: "established-not-accepted",
			message: "its TCP flags (syn, ack) are not those that open a connection, and no rule of INPUT accepts established,related",
			fix:     "iptables-legacy -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		},
		{
			name: "IPv6 fragments", packet: packet{port: 6733, to: hostIP6, size: 4000}, listens: true, code: "listening-not-allowed",
			setup:   "ip6tables-nft -P INPUT DROP\nip6tables-nft -A INPUT -p ipv6-icmp -j ACCEPT",
			message: "it is the first fragment of a larger packet",
		},
		{
			name: "left out of an ipset by name", packet: packet{port: 6734}, code: "set-member", message: "and 192.0.2.2 is not",
			setup: "ipset create nets hash:net\nipset add nets 192.0.2.0/24\nipset add nets 192.0.2.2 nomatch\n" +
				"iptables-nft -P INPUT DROP\niptables-nft -A INPUT -p udp --dport 6734 -m set --match-set nets src -j ACCEPT",
		},
	})
}

// TestWhySaysNothing has drops that a rule makes for a reason of its own, and of
// which the rules below it are no correction.
func TestWhySaysNothing(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	const open = "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; }'\n"
	setups := map[string]string{
		"deny one, allow the rest": "iptables-nft -A INPUT -p udp --dport 6741 -j DROP\niptables-nft -A INPUT -j ACCEPT",
		"a network, and below it a service": "iptables-nft -A INPUT -s 192.0.2.0/28 -j DROP\n" +
			"iptables-nft -A INPUT -p udp --dport 6741 -j ACCEPT",
		"a drop up to a limit":      "iptables-nft -A INPUT -p udp --dport 6741 -m limit --limit 10000/sec --limit-burst 10000 -j DROP",
		"a drop up to a limit, nft": open + "nft add rule inet fw in udp dport 6741 limit rate 10000/second burst 10000 packets drop",
		"a port by a chain": "iptables-legacy -N GONE\niptables-legacy -A GONE -j DROP\n" +
			"iptables-legacy -A INPUT -p udp --dport 6741 -j GONE",
	}
	var names []string
	var labs []*lab
	for name, setup := range setups {
		l := newLab(t)
		l.ready(t)
		proof{setup: setup}.set(t, l)
		names, labs = append(names, name), append(labs, l)
	}
	trace := start(t, labs)
	p := packet{port: 6741}
	for i, l := range labs {
		// Once more after the rules are read: the first may be told without a why.
		eventually(t, names[i]+": drops are told with their rule", func() bool {
			p.send(t, l)
			own := to(of(trace.drops(t), l.host), p.port)
			return trace.mayNotKnow() || len(own) >= 3 && own[len(own)-1].Rule != nil
		})
	}
	drops := trace.stop(t)
	for i, l := range labs {
		if w := causesOf(to(of(drops, l.host), p.port)); w != nil {
			t.Errorf("%s: %+v", names[i], w)
		}
	}
}

// dials is a connection that the host opens from a port, of which the answer is
// dropped.
func dials(port int) (send func(*testing.T, *lab), arrives func(*testing.T, *lab) bool) {
	var got bool
	send = func(t *testing.T, l *lab) {
		t.Helper()
		var server net.Listener
		within(t, l.client, func() (err error) {
			server, err = net.Listen("tcp4", clientIP+":443")
			return err
		})
		defer server.Close()
		within(t, l.host, func() error {
			d := net.Dialer{LocalAddr: &net.TCPAddr{Port: port}, Timeout: time.Second / 2}
			c, err := d.Dial("tcp4", clientIP+":443")
			if got = err == nil; got {
				c.Close()
			}
			return nil
		})
	}
	return send, func(*testing.T, *lab) bool { return got }
}
