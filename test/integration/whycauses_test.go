package integration

import (
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

func TestWhyFilter(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	const (
		deny    = "iptables-nft -P INPUT DROP\n"
		nftDeny = "nft add table ip fw\nnft 'add chain ip fw in { type filter hook input priority 0; policy drop; }'\n"
	)
	reply, replied := asks(6101)
	other, elsewhere := asks(6103)
	late, lately := asks(6102)
	proveAll(t, []proof{
		{
			name: "policy, and nobody listens", setup: deny, packet: packet{port: 6001},
			code: "policy-drop-no-accept", message: "the INPUT policy drops everything else; nothing listens on udp 6001 here either",
		},
		{
			name: "policy of OUTPUT", setup: "iptables-nft -P OUTPUT DROP", packet: packet{port: 6006, to: clientIP, local: true},
			code: "policy-drop-no-accept", message: "no rule of OUTPUT accepts udp 6006 to 192.0.2.2",
			fix: "iptables-nft -A OUTPUT -d 192.0.2.2 -p udp --dport 6006 -j ACCEPT",
		},
		{
			name: "policy of OUTPUT, with neighbours to be found", packet: packet{port: 6007, to: clientIP6, local: true},
			setup: "ip6tables-nft -P OUTPUT DROP\nip6tables-nft -P INPUT DROP\nip -6 neigh flush dev eth0",
			code:  "policy-drop-no-accept", message: "it finds no IPv6 neighbour either",
			fix: "ip6tables-nft -A OUTPUT -d 2001:db8::2 -p udp --dport 6007 -j ACCEPT && " +
				"NETNS ip6tables-nft -A OUTPUT -p icmpv6 --icmpv6-type 135 -j ACCEPT && NETNS ip6tables-nft -A INPUT -p icmpv6 --icmpv6-type 136 -j ACCEPT",
		},
		{
			name: "policy, ip6tables-nft", setup: "ip6tables-nft -P INPUT DROP\nip6tables-nft -A INPUT -p ipv6-icmp -j ACCEPT",
			packet: packet{port: 6002, to: hostIP6}, listens: true, code: "listening-not-allowed",
			fix: "ip6tables-nft -A INPUT -s 2001:db8::2 -p udp --dport 6002 -j ACCEPT",
		},
		{
			name: "policy, iptables-legacy", setup: "iptables-legacy -P INPUT DROP", packet: packet{port: 6003}, listens: true,
			code: "listening-not-allowed",
			fix:  "iptables-legacy -A INPUT -s 192.0.2.2 -p udp --dport 6003 -j ACCEPT",
		},
		{
			name: "policy, nft", setup: "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'\n" +
				"nft add rule inet fw in meta l4proto icmpv6 accept",
			packet: packet{port: 6004}, listens: true, code: "listening-not-allowed",
			fix: "nft add rule inet fw in ip saddr 192.0.2.2 udp dport 6004 accept",
		},
		{
			name: "reject at the end, nft", setup: "nft add table ip fw\nnft 'add chain ip fw in { type filter hook input priority 0; }'\n" +
				"nft add rule ip fw in udp dport 1 accept\nnft add rule ip fw in counter reject",
			packet: packet{port: 6005}, listens: true, code: "listening-not-allowed", message: "nearest is in rule 1 (handle 2), for port 1",
			fix: "nft insert rule ip fw in handle 3 ip saddr 192.0.2.2 udp dport 6005 accept",
		},
		{
			name: "listening, iptables-nft", setup: deny, packet: packet{port: 6011}, listens: true,
			code: "listening-not-allowed", message: "listens on udp 6011, but no rule of INPUT accepts it from 192.0.2.2",
			fix: "iptables-nft -A INPUT -s 192.0.2.2 -p udp --dport 6011 -j ACCEPT",
		},
		{
			name: "accept below drop, iptables-nft", packet: packet{port: 6021}, listens: true,
			setup: "iptables-nft -A INPUT -p udp --dport 6020:6029 -j DROP\n" +
				"iptables-nft -A INPUT -s 192.0.2.0/24 -p udp -m multiport --dports 6021,6022 -m comment --comment 'a \"quoted\" $(name)' -j ACCEPT",
			code: "accept-below-drop", message: "INPUT rule 2 would accept it, but stands below INPUT rule 1",
			fix: "iptables-nft -I INPUT 1 -s 192.0.2.0/24 -p udp -m multiport --dports 6021,6022 -j ACCEPT",
		},
		{
			name: "accept below drop, iptables-legacy", packet: packet{port: 6022},
			setup: "iptables-legacy -A INPUT -p udp -j REJECT\niptables-legacy -A INPUT ! -i eth1 -p udp -j ACCEPT",
			code:  "accept-below-drop", fix: "iptables-legacy -I INPUT 1 '!' -i eth1 -p udp -j ACCEPT",
		},
		{
			name: "accept below drop, nft", packet: packet{port: 6023},
			setup: "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; }'\nnft add chain inet fw early\n" +
				"nft add rule inet fw in jump early\nnft add rule inet fw early udp dport 6000-6999 counter drop\n" +
				"nft 'add rule inet fw in udp dport { 6023, 6024 } counter accept comment \"games\"'",
			code: "accept-below-drop", fix: "nft insert rule inet fw in handle 3 'udp dport { 6023, 6024 } counter accept'",
		},
		{
			name: "source", packet: packet{port: 6031}, setup: deny + "iptables-nft -A INPUT -s 10.0.0.0/8 -p udp --dport 6031 -j ACCEPT",
			code: "source-too-narrow", message: "only from 10.0.0.0/8, and it came from 192.0.2.2",
			fix: "iptables-nft -A INPUT -s 192.0.2.2 -p udp --dport 6031 -j ACCEPT",
		},
		{
			name: "source, nft", packet: packet{port: 6032},
			setup: "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'\n" +
				"nft add rule inet fw in ip saddr 192.0.2.128/25 udp dport 6032 accept",
			code: "source-too-narrow", message: "only from 192.0.2.128/25",
			fix: "nft add rule inet fw in ip saddr 192.0.2.2 udp dport 6032 accept",
		},
		{
			name: "destination", packet: packet{port: 6033}, setup: deny + "iptables-nft -A INPUT -d 198.51.100.1 -p udp --dport 6033 -j ACCEPT",
			code: "destination-too-narrow", message: "only to 198.51.100.1, and it goes to 192.0.2.1",
			fix: "iptables-nft -A INPUT -s 192.0.2.2 -d 192.0.2.1 -p udp --dport 6033 -j ACCEPT",
		},
		{
			name: "interface", packet: packet{port: 6034}, setup: deny + "iptables-nft -A INPUT -i eth1 -p udp --dport 6034 -j ACCEPT",
			code: "interface-mismatch", message: "by eth1, and it came in by eth0",
			fix: "iptables-nft -A INPUT -i eth0 -s 192.0.2.2 -p udp --dport 6034 -j ACCEPT",
		},
		{
			name: "interface, iptables-legacy", packet: packet{port: 6035},
			setup: "iptables-legacy -P INPUT DROP\niptables-legacy -A INPUT -i eth1 -p udp --dport 6035 -j ACCEPT",
			code:  "interface-mismatch", fix: "iptables-legacy -A INPUT -i eth0 -s 192.0.2.2 -p udp --dport 6035 -j ACCEPT",
		},
		{
			name: "whitelist written as a drop, iptables-legacy", packet: packet{port: 6037},
			setup: "iptables-legacy -A INPUT -p udp --dport 6037 ! -s 10.0.0.0/8 -j DROP",
			code:  "source-too-narrow", message: "INPUT rule 1 drops what does not come from 10.0.0.0/8, and it came from 192.0.2.2",
			fix: "iptables-legacy -I INPUT 1 -s 192.0.2.2 -p udp --dport 6037 -j ACCEPT",
		},
		{
			name: "whitelist written as a drop, a set", packet: packet{port: 6038},
			setup: "nft add table ip fw\nnft 'add set ip fw ok { type ipv4_addr; elements = { 10.0.0.1 }; }'\n" +
				"nft 'add chain ip fw in { type filter hook input priority 0; }'\n" +
				"nft add rule ip fw in udp dport 6038 ip saddr != @ok counter drop",
			code: "set-member", message: "drops what is not in the set ok, and 192.0.2.2 is not",
			fix: "nft add element ip fw ok '{ 192.0.2.2 }'",
		},
		{
			name: "interface of a jump, nft", packet: packet{port: 6036},
			setup: "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'\nnft add chain inet fw lan\n" +
				"nft add rule inet fw in iifname eth1 jump lan\nnft add rule inet fw lan udp dport 6036 accept",
			code: "interface-mismatch", message: "to which in rule 1 (handle 3) leads",
			fix: "nft add rule inet fw in iifname eth0 ip saddr 192.0.2.2 udp dport 6036 accept",
		},
		{
			name: "other family", packet: packet{port: 6037, to: hostIP6},
			setup: deny + "iptables-nft -A INPUT -p udp --dport 6037 -j ACCEPT\nip6tables-nft -P INPUT DROP\nip6tables-nft -A INPUT -p ipv6-icmp -j ACCEPT",
			code:  "other-family", message: "for IPv4 only, and it is IPv6",
			fix: "ip6tables-nft -A INPUT -s 2001:db8::2 -p udp --dport 6037 -j ACCEPT",
		},
		{
			name: "established on another interface", packet: packet{port: 6103}, send: other, arrives: elsewhere,
			setup: deny + "iptables-nft -A INPUT -i eth1 -m conntrack --ctstate ESTABLISHED -j ACCEPT",
			code:  "interface-mismatch", message: "INPUT rule 1 accepts what belongs to an open connection only if it comes in by eth1",
			fix: "iptables-nft -I INPUT 1 -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		},
		{
			name: "established not accepted", packet: packet{port: 6101}, send: reply, arrives: replied,
			setup: deny + "iptables-nft -A OUTPUT -m conntrack --ctstate NEW -j ACCEPT",
			code:  "established-not-accepted", message: "it is an answer of an open connection",
			fix: "iptables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		},
		{
			name: "established below drop", packet: packet{port: 6102}, send: late, arrives: lately,
			setup: "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; }'\n" +
				"nft add rule inet fw in meta l4proto udp drop\nnft add rule inet fw in ct state established,related accept",
			code: "established-below-drop", fix: "nft insert rule inet fw in handle 2 ct state established,related accept",
		},
		{
			name: "rate limit, iptables-nft", packet: packet{port: 6041}, prepare: packet{port: 6041}.send,
			setup: deny + "iptables-nft -A INPUT -p udp --dport 6041 -m limit --limit 1/hour --limit-burst 1 -j ACCEPT",
			code:  "rate-limit", choose: map[string]string{"LIMIT": "1000/sec"},
			fix: "iptables-nft -R INPUT 1 -p udp -m udp --dport 6041 -m limit --limit LIMIT --limit-burst 1 -j ACCEPT",
		},
		{
			name: "rate limit of each source", packet: packet{port: 6043}, prepare: packet{port: 6043}.send,
			setup: deny + "iptables-nft -A INPUT -p udp --dport 6043 -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 1 " +
				"--hashlimit-mode srcip --hashlimit-name src -j ACCEPT\n" +
				"iptables-nft -A OUTPUT -m hashlimit --hashlimit-upto 1/hour --hashlimit-mode dstip --hashlimit-name src2",
			code: "rate-limit", choose: map[string]string{"LIMIT": "1000/sec"},
			fix: "iptables-nft -R INPUT 1 -p udp -m udp --dport 6043 -m hashlimit --hashlimit-upto LIMIT --hashlimit-burst 1 " +
				"--hashlimit-mode srcip --hashlimit-name src3 -j ACCEPT",
		},
		{
			name: "rate limit of each source, nft", packet: packet{port: 6044}, prepare: packet{port: 6044}.send,
			setup: nftDeny + "nft 'add set ip fw seen { type ipv4_addr; flags dynamic; }'\n" +
				"nft 'add rule ip fw in udp dport 6044 update @seen { ip saddr limit rate 1/hour burst 1 packets } accept'",
			code: "rate-limit", choose: map[string]string{"LIMIT": "1000/second"},
			fix: "nft replace rule ip fw in handle 3 'udp dport 6044 update @seen { ip saddr limit rate LIMIT burst 1 packets } accept'" +
				" && NETNS nft delete element ip fw seen '{ 192.0.2.2 }'",
		},
		{
			name: "too many", packet: packet{port: 6045}, prepare: packet{port: 6045}.send,
			setup: "iptables-nft -N TOOMANY\niptables-nft -A TOOMANY -j DROP\niptables-nft -A INPUT -p udp --dport 6045 -m recent --set --name r\n" +
				"iptables-nft -A INPUT -p udp --dport 6045 -m recent --update --seconds 3600 --hitcount 2 --name r -j TOOMANY",
			code: "rate-limit", message: "it is more than INPUT rule 2 lets through (2 packets in 3600 s from one address: --seconds 3600 --hitcount 2)",
			fix: "sh -c 'echo -192.0.2.2 > /proc/net/xt_recent/r'",
		},
		{
			name: "list of recent", packet: packet{port: 6046}, prepare: packet{port: 6046}.send,
			setup: "iptables-legacy -A INPUT -p udp --dport 6046 -m recent --rcheck --seconds 3600 --name bad -j REJECT\n" +
				"iptables-legacy -A INPUT -p udp --dport 6046 -m recent --set --name bad",
			code: "meant-drop", message: "it is in the list bad of INPUT rule 1 (/proc/net/xt_recent/bad)",
		},
		{
			name: "rate limit, nft", packet: packet{port: 6042}, prepare: packet{port: 6042}.send,
			setup: nftDeny +
				"nft add rule ip fw in udp dport 6042 limit rate 1/hour burst 1 packets accept",
			code: "rate-limit", choose: map[string]string{"LIMIT": "1000/second"},
			fix: "nft replace rule ip fw in handle 2 udp dport 6042 limit rate LIMIT burst 1 packets accept",
		},
		{
			name: "in a set", packet: packet{port: 6051},
			setup: "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; }'\n" +
				"nft 'add set inet fw quarantine { type ipv4_addr; elements = { 192.0.2.2, 192.0.2.77 }; }'\n" +
				"nft add rule inet fw in ip saddr @quarantine drop",
			code: "set-member", message: "element 192.0.2.2", fix: "nft delete element inet fw quarantine '{ 192.0.2.2 }'",
		},
		{
			name: "not in a set", packet: packet{port: 6052},
			setup: "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'\n" +
				"nft 'add set inet fw friends { type ipv4_addr; flags interval; elements = { 198.51.100.0/24 }; }'\n" +
				"nft add rule inet fw in ip saddr @friends udp dport 6052 accept",
			code: "set-member", message: "and 192.0.2.2 is not", fix: "nft add element inet fw friends '{ 192.0.2.2 }'",
		},
		{
			name: "in an ipset", packet: packet{port: 6053},
			setup: "ipset create quarantine hash:ip\nipset add quarantine 192.0.2.2\n" +
				"iptables-nft -A INPUT -m set --match-set quarantine src -j DROP",
			code: "set-member", message: "it is in the set quarantine", fix: "ipset del quarantine 192.0.2.2",
		},
		{
			name: "not in an ipset, iptables-legacy", packet: packet{port: 6054},
			setup: "ipset create friends hash:net,port\nipset add friends 198.51.100.0/24,udp:6054\niptables-legacy -P INPUT DROP\n" +
				"iptables-legacy -A INPUT -p udp --dport 6054 -m set --match-set friends src,dst -j ACCEPT",
			code: "set-member", message: "only what is in the set friends", fix: "ipset add friends 192.0.2.2,udp:6054",
		},
		{
			name: "meant, ipset", packet: packet{port: 6055},
			setup: "ipset create blocklist hash:net\nipset add blocklist 192.0.2.0/24\n" +
				"iptables-nft -A INPUT -m set --match-set blocklist src -j DROP",
			code: "meant-drop", message: "192.0.2.2 is in the blocklist blocklist",
		},
		{
			name: "workstation, nft", packet: packet{port: 6056}, listens: true,
			setup: "nft add table inet filter\nnft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'\n" +
				"nft 'add rule inet filter input ct state vmap { established : accept, related : accept, invalid : drop }'\n" +
				"nft add rule inet filter input iifname lo accept\n" +
				"nft 'add rule inet filter input meta l4proto { icmp, ipv6-icmp } accept'\n" +
				"nft 'add rule inet filter input udp dport { 53, 6057 } accept'\n" +
				"nft add rule inet filter input counter reject with icmpx type admin-prohibited",
			code: "listening-not-allowed", message: "input rule 5 (handle 9) drops it",
			fix: "nft insert rule inet filter input handle 9 ip saddr 192.0.2.2 udp dport 6056 accept",
		},
		{
			name: "server, iptables-legacy", packet: packet{port: 6058}, listens: true,
			setup: "iptables-legacy -P INPUT DROP\niptables-legacy -A INPUT -i lo -j ACCEPT\n" +
				"iptables-legacy -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n" +
				"iptables-legacy -A INPUT -p icmp -j ACCEPT\niptables-legacy -A INPUT -p tcp -m multiport --dports 22,80,443 -j ACCEPT\n" +
				"iptables-legacy -A INPUT -m limit --limit 3/min -j LOG\niptables-legacy -A INPUT -j REJECT --reject-with icmp-host-prohibited",
			code: "listening-not-allowed", message: "INPUT rule 6 drops it",
			fix: "iptables-legacy -I INPUT 6 -s 192.0.2.2 -p udp --dport 6058 -j ACCEPT",
		},
		{
			name: "meant, fail2ban", packet: packet{port: 6061},
			setup: "iptables-nft -N f2b-sshd\niptables-nft -A INPUT -p udp -j f2b-sshd\n" +
				"iptables-nft -A f2b-sshd -s 192.0.2.2/32 -j REJECT\niptables-nft -A f2b-sshd -j RETURN",
			code: "meant-drop", message: "fail2ban has banned 192.0.2.2 (jail sshd)",
		},
		{
			name: "two managers", packet: packet{port: 6071}, listens: true, more: "two-managers",
			setup: deny + "iptables-nft -A INPUT -p udp --dport 6071 -j ACCEPT\nnft add table inet fw\n" +
				"nft 'add chain inet fw in { type filter hook input priority 10; policy drop; }'",
			code: "listening-not-allowed", fix: "nft add rule inet fw in ip saddr 192.0.2.2 udp dport 6071 accept",
		},
		{
			name: "two base chains", packet: packet{port: 6072}, listens: true,
			setup: deny + "nft add table inet fw\nnft 'add chain inet fw in { type filter hook input priority 10; policy drop; }'",
			code:  "listening-not-allowed",
			fix: "iptables-nft -A INPUT -s 192.0.2.2 -p udp --dport 6072 -j ACCEPT && " +
				"NETNS nft add rule inet fw in ip saddr 192.0.2.2 udp dport 6072 accept",
		},
	})
}
