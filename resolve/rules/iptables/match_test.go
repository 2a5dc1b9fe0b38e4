package iptables

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestMatchesOfIPv4(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{"-s 10.0.0.0/8", "ip saddr 0a000000-0affffff"},
		{"! -s 10.1.2.3", "!ip saddr 0a010203"},
		{"-s ! 10.1.2.3", "!ip saddr 0a010203"},
		{"-d 10/8", "ip daddr 0a000000-0affffff"},
		{"-d 10.0.0.1/255.0.0.255", "ip daddr & ff0000ff 0a000001"},
		{"-s 0.0.0.0/0", ""},
		{"! -s 0.0.0.0/0", "!ip saddr 00000000-ffffffff"},
		{"-i eth0", "iifname 65746830000000000000000000000000"},
		{"! -o eth+", "!oifname 65746800000000000000000000000000-657468ffffffffffffffffffffffffff"},
		{"-i +", ""},
		{"! -i +", "!iifname 00000000000000000000000000000000-ffffffffffffffffffffffffffffffff"},
		{"-p tcp", "meta l4proto 06"},
		{"! -p udp", "!meta l4proto 11"},
		{"-p 99", "meta l4proto 63"},
		{"-p all", ""},
		{"-f", "!ip frag-off & 1fff 0000"},
		{"! -f", "ip frag-off & 1fff 0000"},

		{"-p tcp -m tcp --dport 80", "meta l4proto 06; header 20 overwrite drops; dport 0050"},
		{"-p tcp --dport 80", "meta l4proto 06; header 20 overwrite drops; dport 0050"},
		{"-p tcp --destination-port=http", "meta l4proto 06; header 20 overwrite drops; dport 0050"},
		{"-p tcp -m tcp ! --sport 1000:2000", "meta l4proto 06; header 20 overwrite drops; !sport 03e8-07d0"},
		{"-p tcp -m tcp --sport :1023", "meta l4proto 06; header 20 overwrite drops; sport 0000-03ff"},
		{"-p udp -m udp --dport 1024:", "meta l4proto 11; header 8 drops; dport 0400-ffff"},
		{"-p tcp -m tcp --tcp-flags SYN,ACK SYN", "meta l4proto 06; header 20 overwrite drops; tcp flags & 12 02"},
		{"-p tcp -m tcp ! --tcp-flags ALL NONE", "meta l4proto 06; header 20 overwrite drops; !tcp flags & 3f 00"},
		{"-p tcp -m tcp ! --syn", "meta l4proto 06; header 20 overwrite drops; !tcp flags & 17 02"},
		{"-p tcp -m tcp --tcp-option 8",
			"meta l4proto 06; header 20 options overwrite drops; field 0x51080000 01"},
		{"-p sctp -m sctp --sport 5", "meta l4proto 84; header 12 drops; sport 0005"},
		{"-p dccp -m dccp --dccp-types REQUEST,RESET",
			"meta l4proto 21; header 12 drops; @th,64,8 & 1e 00,0e"},
		{"-p tcp -m multiport --dports 80,443,8000:8080",
			"meta l4proto 06; header 4 drops; dport 0050,01bb,1f40-1f90"},
		{"-p tcp -m multiport ! --sports 80,443", "meta l4proto 06; header 4 drops; !sport 0050,01bb"},
		{"-p tcp -m multiport --ports 80,79:81",
			"meta l4proto 06; header 4 drops; any(sport 004f-0051 | dport 004f-0051)"},
		{"-p tcp -m multiport ! --ports 80", "meta l4proto 06; header 4 drops; !sport 0050; !dport 0050"},
		{"-p icmp -m icmp --icmp-type 8", "meta l4proto 01; header 8 drops; sport 0800-08ff"},
		{"-p icmp -m icmp ! --icmp-type 3/1", "meta l4proto 01; header 8 drops; !sport 0301"},
		{"-p icmp --icmp-type host-unreachable", "meta l4proto 01; header 8 drops; sport 0301"},
		{"-p icmp -m icmp --icmp-type any", "meta l4proto 01; header 8 drops"},
		{"-p esp -m esp --espspi 1:5", "meta l4proto 32; header 8 drops; @th,0,32 00000001-00000005"},
		{"-p ah -m ah --ahspi 7", "meta l4proto 33; header 12 drops; @th,32,32 00000007"},

		{"-m state --state NEW,ESTABLISHED", "!ct state & 0000000a 00000000"},
		{"-m conntrack ! --ctstate INVALID", "ct state & 00000001 00000000"},
		{"-m conntrack --ctstate RELATED,DNAT",
			"any(!ct state & 00000004 00000000 | !ct status & 00000020 00000000)"},
		{"-m conntrack ! --ctstate SNAT", "!any(!ct status & 00000010 00000000)"},
		{"-m conntrack --ctstatus ASSURED", "!ct status & 00000004 00000000"},
		{"-m conntrack --ctdir REPLY", "ct direction 01"},
		{"-m conntrack --ctproto 17", "ct proto 11"},
		{"-m conntrack ! --ctorigdst 10.0.0.0/8",
			"!ct orig dst & ff000000000000000000000000000000 0a000000000000000000000000000000"},
		{"-m conntrack --ctreplsrcport 53", "ct reply sport 0035"},
		{"-m conntrack --ctexpire 2:3", "ct expiration 000007d0-00000f9f"},
		// Without a connection only the state counts.
		{"-m conntrack --ctstate INVALID --ctproto 6",
			"!ct state & 00000001 00000000; any(!ct state & 00000041 00000000 | ct proto 06)"},
		{"-m connmark ! --mark 5/0xff", "!ct mark & 000000ff 00000005"},

		{"-m mark --mark 0x1/0xf", "meta mark & 0000000f 00000001"},
		{"-m mac --mac-source 00:11:22:33:44:55", "ether saddr 001122334455"},
		{"-m iprange --src-range 1.1.1.1-1.1.1.9 ! --dst-range 2.2.2.2-2.2.2.3",
			"ip saddr 01010101-01010109; !ip daddr 02020202-02020203"},
		{"-m length --length 100:200", "ip length 0064-00c8"},
		{"-m ttl --ttl-lt 5", "ip ttl 00-04"},
		{"-m ttl --ttl-gt 5", "ip ttl 06-ff"},
		{"-m ttl --ttl-gt 255", "any()"},
		{"-m ttl ! --ttl-eq 64", "!ip ttl 40"},
		{"-m dscp ! --dscp 0x2e", "!ip dscp & fc b8"},
		{"-m dscp --dscp-class af41", "ip dscp & fc 88"},
		{"-m tos --tos 0x10/0x3f", "ip dscp & 3f 10"},
		{"-m ecn --ecn-ip-ect 2", "ip dscp & 03 02"},
		{"-m pkttype --pkt-type broadcast", "meta pkttype 01"},
		{"-m owner --uid-owner 0-99", "meta skuid 00000000-00000063"},
		// A packet without a socket is owned by nobody.
		{"-m owner ! --gid-owner 5", "!any(meta skgid 00000005)"},
		{"-m owner --socket-exists", "opaque owner f"},
		{"-m addrtype ! --dst-type LOCAL", "!fib 0x2 3 00000002"},
		{"-m addrtype --src-type LOCAL,BROADCAST --limit-iface-in", "fib 0x9 3 00000002,00000003"},
		{"-m cpu --cpu 3", "cpu 00000003"},
		{"-m devgroup --src-group 0x5/0xf", "iifgroup & 0000000f 00000005"},
		{"-m physdev --physdev-in eth0", "physin 65746830000000000000000000000000"},
		{"-m physdev ! --physdev-is-bridged",
			"!any(physout 01000000000000000000000000000000-ffffffffffffffffffffffffffffffff)"},
		{"-m comment --comment \"a b\"", ""},
		{"-m set --match-set unheard src", "ip saddr @unheard of 0 false"},
		{"-m set ! --match-set unheard dst,dst", "!ip daddr @unheard of 0 false"},

		{"-m limit --limit 3/min", "opaque limit f"},
		{"-m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name x", "opaque hashlimit fd"},
		{"-m statistic --mode random --probability 0.5", "opaque random f"},
		{"-m recent --rcheck --name x", "opaque recent f"},
		{"-m recent --set --name x", ""},
		{"-m recent ! --set --name x", "any()"},
		{"-m connlimit --connlimit-above 3", "opaque connlimit fd"},
		{"-m u32 --u32 \"6&0xFF=1\"", "opaque u32 fd"},
		{"-m string --string \"-j ACCEPT\" --algo bm", "opaque string f"},
		{"-m nonesuch --nonesuch-a b -j DROP", "opaque nonesuch fd?; drop"},
		{"-m ttl --ttl-future 5 -j DROP", "opaque ttl f?; drop"},
		{"-m nonesuch ! --nonesuch-a b ! --b -m mark --mark 1", "opaque nonesuch fd?; meta mark & ffffffff 00000001"},
	} {
		r := parseRule(t, "ip", ruleset.IPTablesLegacy, "filter", tt.rule)
		if got := describe(r.Statements); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.rule, got, tt.want)
		}
	}
}

func TestMatchesOfIPv6(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{"-s 2001:db8::/32", "ip6 saddr 20010db8000000000000000000000000-20010db8ffffffffffffffffffffffff"},
		{"-p tcp", "header 0 later drops; meta l4proto 06"},
		{"-p ipv6-icmp -m icmp6 --icmpv6-type 135", "header 0 later drops; meta l4proto 3a; header 8 drops; sport 8700-87ff"},
		{"-p icmpv6 --icmpv6-type no-route", "header 0 later drops; meta l4proto 3a; header 8 drops; sport 0100"},
		{"-m hl --hl-eq 255", "ip6 hoplimit ff"},
		// What stands there in IPv4's header names the field.
		{"-m length --length 40:100", "ip id 0000-003c"},
		{"-m length --length 10:20", "any()"},
		{"-m dscp --dscp 0x2e", "@nh,0,16 & 0fc0 0b80"},
		{"-m addrtype --dst-type MULTICAST", "ip6 daddr ff000000000000000000000000000000-ffffffffffffffffffffffffffffffff"},
		{"-m addrtype ! --dst-type LOCAL", "!any(fib 0x2 3 00000002)"},
		{"-m conntrack --ctorigsrc 2001:db8::1", "ct orig src 20010db8000000000000000000000001"},
		{"-m frag --fragfirst", "opaque frag fd"},
		{"-m rt --rt-type 0", "opaque rt fd"},
		{"-p ah -m ah --ahspi 5", "header 0 later drops; meta l4proto 33; opaque ah fd"},
	} {
		r := parseRule(t, "ip6", ruleset.IPTablesLegacy, "filter", tt.rule)
		if got := describe(r.Statements); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.rule, got, tt.want)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, tt := range []struct{ table, rule, want string }{
		{"filter", "-j ACCEPT", "accept"},
		{"filter", "-j DROP", "drop"},
		{"filter", "-j REJECT --reject-with tcp-reset", "reject"},
		{"filter", "-j RETURN", "return"},
		{"filter", "-j QUEUE", "queue"},
		{"filter", "-j NFQUEUE --queue-num 3 --queue-bypass", "queue bypass"},
		{"filter", "-j NFQUEUE --queue-balance 0:3", "queue"},
		{"filter", "-j other", "jump other"},
		{"filter", "-g other", "goto other"},
		{"filter", "", ""},
		{"filter", "-j LOG --log-prefix \"a b\" --log-level 4", ""},
		{"filter", "-j NFLOG --nflog-group 1", ""},
		{"filter", "-j NONESUCH --to hell", "opaque NONESUCH da?"},
		{"filter", "-j SYNPROXY --sack-perm --mss 1460", "opaque SYNPROXY da"},
		{"mangle", "-j TPROXY --on-port 80", "opaque TPROXY da"},
		{"mangle", "-j MARK --set-xmark 0x5/0xff", "meta mark = & ffffff00 ^ 00000005"},
		{"mangle", "-j MARK --set-mark 0x5", "meta mark = &  ^ 00000005"},
		// --set-mark leaves what the mask does not have, but sets all of the value.
		{"mangle", "-j MARK --set-mark 0x105/0xff", "meta mark = & fffffe00 ^ 00000105"},
		{"mangle", "-j MARK --and-mark 0xf", "meta mark = & 0000000f ^ 00000000"},
		{"mangle", "-j MARK --or-mark 0xf", "meta mark = & fffffff0 ^ 0000000f"},
		{"mangle", "-j MARK --xor-mark 0xf", "meta mark = & ffffffff ^ 0000000f"},
		{"mangle", "-j CONNMARK --set-xmark 0x5/0xffffffff", "ct mark = &  ^ 00000005"},
		{"mangle", "-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xf0", "ct mark = & ffffff0f ^ 000000ff of meta mark"},
		{"mangle", "-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xff", "meta mark = &  ^ 000000ff of ct mark"},
		{"mangle", "-j CLASSIFY --set-class 1:10", "priority = &  ^ 00010010"},
		{"mangle", "-j DSCP --set-dscp 0x2e", "ip dscp = & 03 ^ b8"},
		{"mangle", "-j TOS --set-tos 0x10/0xff", "ip dscp = &  ^ 10"},
		{"mangle", "-j TTL --ttl-set 64", "ip ttl = &  ^ 40"},
		{"mangle", "-j TTL --ttl-dec 1", "ip ttl = ?"},
		{"mangle", "-p tcp -j TCPMSS --clamp-mss-to-pmtu", "meta l4proto 06; header 20 options later drops"},
		{"raw", "-j CT --notrack", "notrack"},
		{"raw", "-j NOTRACK", "notrack"},
		{"raw", "-j CT --zone 5", "ct zone = &  ^ 0005"},
		{"raw", "-j CT --helper ftp", ""},
		{"nat", "-j DNAT --to-destination 10.0.0.1:8080", "dnat 10.0.0.1-10.0.0.1 :8080-8080"},
		{"nat", "-j DNAT --to-destination :8080", "dnat :8080-8080"},
		{"nat", "-j DNAT --to 10.0.0.1-10.0.0.9", "dnat 10.0.0.1-10.0.0.9"},
		{"nat", "-j DNAT --to-destination 10.0.0.1:80-90/8080", "dnat 10.0.0.1-10.0.0.1 :80-90 ?"},
		{"nat", "-j SNAT --to-source 192.0.2.1:1024-2048 --random-fully", "snat 192.0.2.1-192.0.2.1 :1024-2048"},
		{"nat", "-j MASQUERADE", "masquerade"},
		{"nat", "-j REDIRECT --to-ports 8080", "redirect :8080-8080"},
		{"nat", "-j NETMAP --to 10.1.0.0/16", "netmap 10.1.0.0-10.1.255.255"},
	} {
		r := parseRule(t, "ip", ruleset.IPTablesNFT, tt.table, tt.rule)
		if got := describe(r.Statements); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.rule, got, tt.want)
		}
	}
}

func TestIPv6TargetsWithAddresses(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{"-j DNAT --to-destination [2001:db8::1]:80", "dnat 2001:db8::1-2001:db8::1 :80-80"},
		{"-j DNAT --to-destination [2001:db8::1]-[2001:db8::9]:80", "dnat 2001:db8::1-2001:db8::9 :80-80"},
		{"-j DNAT --to-destination 2001:db8::1", "dnat 2001:db8::1-2001:db8::1"},
		{"-j NETMAP --to 2001:db8::/64", "netmap 2001:db8::-2001:db8::ffff:ffff:ffff:ffff"},
	} {
		r := parseRule(t, "ip6", ruleset.IPTablesNFT, "nat", tt.rule)
		if got := describe(r.Statements); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.rule, got, tt.want)
		}
	}
}

// Which code looks at a header is known of legacy alone.
func TestACutHeaderMeetsTheEngine(t *testing.T) {
	const rule = "-p udp -m udp --dport 53"
	r := parseRule(t, "ip", ruleset.IPTablesNFT, "filter", rule)
	if got, want := describe(r.Statements), "meta l4proto 11; header 8 unknown; dport 0035"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for compat, want := range map[bool]string{
		true:  "meta l4proto 11; header 8 drops; dport 0035",
		false: "meta l4proto 11; dport 0035",
	} {
		err := NewReader(r.Chain.Table, nil, nil).Read(r, "-A INPUT "+rule, func(match string) bool { return compat && match == "udp" })
		if got := describe(r.Statements); err != nil || got != want {
			t.Errorf("compat %v: got %s (%v), want %s", compat, got, err, want)
		}
	}
}

func TestWhatIsSaidOfARule(t *testing.T) {
	for _, tt := range []struct {
		rule                     string
		canDrop, rejects, queues bool
		comment                  string
	}{
		{"-j ACCEPT", false, false, false, ""},
		{"-p tcp -m tcp --dport 80 -j ACCEPT", true, false, false, ""}, // hotdrop
		{"-m mark --mark 1 -j DROP", true, false, false, ""},
		{"-j REJECT --reject-with icmp-host-prohibited", true, true, false, ""},
		{"-j NFQUEUE --queue-num 1", true, false, true, ""},
		{"-j other", false, false, false, ""},
		{"-m comment --comment \"it's \\\"mine\\\"\" -j LOG", false, false, false, `it's "mine"`},
		{"-j NONESUCH", true, false, false, ""},
	} {
		r := parseRule(t, "ip", ruleset.IPTablesLegacy, "filter", tt.rule)
		if r.CanDrop != tt.canDrop || r.Rejects != tt.rejects || r.Queues != tt.queues || r.Comment != tt.comment {
			t.Errorf("%s: got %v %v %v %q", tt.rule, r.CanDrop, r.Rejects, r.Queues, r.Comment)
		}
	}
}
