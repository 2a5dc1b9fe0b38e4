package iptables

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ipset"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// What a rule's statements say of a packet must be what the kernel does with it:
// whether the rule's counter moves, and whether a match drops the packet, after
// which no later rule counts. Rules come in any order, so that each is met by
// each packet.
func TestTheKernelAgrees(t *testing.T) {
	for _, engine := range []ruleset.Engine{ruleset.IPTablesLegacy, ruleset.IPTablesNFT} {
		t.Run(string(engine), func(t *testing.T) {
			compareKernel(t, engine, "ip", rules4(), packets4(), "")
			compareKernel(t, engine, "ip6", rules6(), packets6(), "")
			compareKernel(t, engine, "ip", conntrackRules(), conntracked(), "")
			compareKernel(t, engine, "ip", setRules("ip"), packets4(), ipsets)
			compareKernel(t, engine, "ip6", setRules("ip6"), packets6(), ipsets)
		})
	}
}

const rounds = 3

func compareKernel(t *testing.T, engine ruleset.Engine, family string, rules []string, packets []labPacket, sets string) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	told, unknown, drops := 0, 0, 0
	for range rounds {
		r.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		k := loadRules(t, engine, family, rules, sets)
		for _, p := range packets {
			moved := k.lab.send(t, p, k.counters)
			result := k.firewall.At(replay.Hook{Family: family, Name: "prerouting"}, k.lab.replayed(p), routes{},
				replay.Options{Steps: true})
			dropped := false
			rest := moved
			for _, s := range result.Steps {
				if s.Chain.Table.Name != "mangle" {
					continue
				}
				held := s.Truth == replay.Yes
				rest = moved[s.Rule.Number:]
				if result.Verdict == replay.Dropped && result.Last.Rule == s.Rule {
					held, dropped = false, true
					drops++
				}
				if s.Truth == replay.Unknown {
					unknown++
					continue
				}
				told++
				if got := moved[s.Rule.Number-1] == 1; got != held {
					t.Errorf("%s: %s: %s: the kernel says %v, the statements %v\n%s", engine, p.name, s.Rule.Text, got, held,
						describe(s.Rule.Statements))
				}
			}
			if dropped && slices.Max(append(rest, 0)) > 0 || result.Verdict == replay.Accepted && len(rest) > 0 {
				t.Errorf("%s: %s: statements say dropped: %v, the kernel goes on: %v", engine, p.name, dropped, rest)
			}
		}
	}
	t.Logf("%s %s: %d told, %d dropped by a match, %d cannot be known", engine, family, told, drops, unknown)
	if told == 0 {
		t.Error("nothing was compared")
	}
}

// kernelRules are rules in the kernel and in the model.
type kernelRules struct {
	lab      *lab
	firewall *replay.Firewall
	counters func() []uint64
}

func program(engine ruleset.Engine, family, suffix string) string {
	name := "iptables"
	if family == "ip6" {
		name = "ip6tables"
	}
	return name + strings.TrimPrefix(string(engine), "iptables") + suffix
}

func loadRules(t *testing.T, engine ruleset.Engine, family string, rules []string, sets string) kernelRules {
	t.Helper()
	l := newLab(t)
	l.Run(t, sets, "ipset", "restore")
	inNamespace, err := ipset.Read(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	var input strings.Builder
	for _, rule := range rules {
		if strings.Contains(rule, "--ct") || strings.Contains(rule, "--state") || strings.Contains(rule, "connmark") {
			input.WriteString("*raw\n-A PREROUTING -p udp --dport 9999 -j CT --notrack\nCOMMIT\n")
			break
		}
	}
	input.WriteString("*mangle\n-A PREROUTING\n")
	for _, rule := range rules {
		fmt.Fprintf(&input, "-A PREROUTING %s\n", rule)
	}
	input.WriteString("-A PREROUTING\nCOMMIT\n")
	l.Run(t, input.String(), program(engine, family, "-restore"))
	// The program's own text is what users have.
	saved := l.Run(t, "", program(engine, family, "-save"))
	rs, err := Parse(strings.NewReader(saved), Options{Family: family, Sets: inNamespace})
	if err != nil {
		t.Fatal(err)
	}
	if rs.Tables[0].Engine != engine {
		t.Fatalf("the file is said to be of %s", rs.Tables[0].Engine)
	}
	if engine == ruleset.IPTablesNFT {
		knowCompat(t, rs, inNamespace)
	}
	return kernelRules{lab: l, firewall: replay.New(rs), counters: func() []uint64 {
		now, err := Parse(strings.NewReader(l.Run(t, "", program(engine, family, "-save"), "-c", "-t", "mangle")),
			Options{Family: family})
		if err != nil {
			t.Fatal(err)
		}
		var packets []uint64
		for _, r := range now.Tables[0].Chains[0].Rules {
			packets = append(packets, r.Packets)
		}
		return packets
	}}
}

// knowCompat reads the rules again as live ones are, knowing that 1.8.9 has
// nf_tables' expressions for tcp and udp but --tcp-option.
func knowCompat(t *testing.T, rs *ruleset.Ruleset, sets ipset.Sets) {
	t.Helper()
	for _, table := range rs.Tables {
		reader := NewReader(table, sets, nil)
		for _, c := range table.Chains {
			for _, r := range c.Rules {
				err := reader.Read(r, r.Text, func(match string) bool {
					return match != "udp" && match != "tcp" || strings.Contains(r.Text, "--tcp-option")
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func rules4() []string {
	return []string{
		"-s 10.9.0.0/24", "! -s 10.9.0.9", "-d 10.9.0.1/255.0.0.255", "! -d 224.0.0.0/4",
		"-i v0", "-i v+", "! -i v0", "! -i lo",
		"-p tcp", "! -p tcp", "-p 47", "-f", "! -f",
		"-p tcp --dport 80", "-p tcp ! --dport 80", "-p tcp --sport 1000:2000", "-p tcp --syn", "-p tcp ! --syn",
		"-p tcp --tcp-flags ALL NONE", "-p tcp --tcp-flags SYN,ACK,FIN SYN --dport 22:80",
		"-p tcp --tcp-option 2", "-p tcp ! --tcp-option 2",
		"-p udp --dport 53", "-p udp ! --sport 53", "-p udplite -m multiport --dports 53",
		"-p sctp --dport 80", "-p dccp --dport 80", "-p dccp --dccp-types REQUEST,ACK", "-p dccp ! --dccp-types RESET",
		"-p tcp -m multiport --ports 80,443", "-p tcp -m multiport ! --ports 80,443",
		"-p udp -m multiport --dports 53,100:200", "-p udp -m multiport ! --sports 53", "-p sctp -m multiport --dports 80",
		"-p icmp --icmp-type echo-request", "-p icmp ! --icmp-type 8", "-p icmp --icmp-type 3/1", "-p icmp --icmp-type any",
		"-p esp -m esp --espspi 1:5", "-p esp -m esp ! --espspi 3", "-p ah -m ah --ahspi 7", "-p ipcomp -m ipcomp --ipcompspi 2",
		"-m iprange --src-range 10.9.0.5-10.9.0.20", "-m iprange ! --dst-range 10.9.0.0-10.9.0.254",
		"-m length --length 0:40", "-m length ! --length 28", "-m ttl --ttl-lt 10", "-m ttl --ttl-gt 64", "-m ttl ! --ttl-eq 64",
		"-m dscp --dscp 46", "-m dscp ! --dscp 0", "-m tos --tos 0x10/0x3f", "-m tos ! --tos 0x02/0xff",
		"-m ecn --ecn-ip-ect 2", "-p tcp -m ecn --ecn-tcp-ece", "-p tcp -m ecn ! --ecn-tcp-cwr",
		"-m pkttype --pkt-type broadcast", "-m pkttype ! --pkt-type unicast",
		"-m mac --mac-source 02:00:00:00:00:09", "-m mac ! --mac-source 02:00:00:00:00:09",
		"-m mark --mark 0", "-m mark ! --mark 0x1/0x1",
		"-m addrtype --dst-type LOCAL", "-m addrtype ! --dst-type LOCAL,BROADCAST", "-m addrtype --dst-type MULTICAST",
		"-m addrtype --src-type UNICAST --dst-type BROADCAST", "-m addrtype --dst-type LOCAL --limit-iface-in",
		"-m devgroup --src-group 5", "-m devgroup ! --src-group 0x1/0x1",
		"-m physdev ! --physdev-is-in", "-m physdev --physdev-in v0", "-m physdev ! --physdev-in v0",
		"-m comment --comment \"a 'b' \\\"c\\\"\"", "-m recent --name r --set",
		"-m statistic --mode random --probability 0.5", "-m string --string x --algo bm",
		"-m mark --mark 0 -j MARK --set-xmark 0/0",
	}
}

func rules6() []string {
	return []string{
		"-s 2001:db8::/32", "! -s 2001:db8::9", "-d ::1/::ffff", "-i v0", "! -i v+",
		"-p tcp", "! -p tcp", "-p udp", "-p ipv6-icmp", "-p sctp",
		"-p tcp --dport 80", "-p tcp ! --dport 80", "-p tcp --syn", "-p udp --dport 53", "-p udp ! --sport 53",
		"-p udp -m multiport --ports 53,80", "-p udp -m multiport ! --dports 53",
		"-p icmpv6 --icmpv6-type echo-request", "-p icmpv6 ! --icmpv6-type 1/0",
		"-m iprange --src-range 2001:db8::1-2001:db8::ff", "-m length --length 40:60", "-m length ! --length 48",
		"-m length --length 0:39", "-m hl --hl-eq 255", "-m hl --hl-lt 65", "-m dscp --dscp 46", "-m tos ! --tos 0xb8/0xff",
		"-m mac --mac-source 02:00:00:00:00:09", "-m mark --mark 0",
		"-m addrtype --dst-type MULTICAST", "-m addrtype ! --dst-type MULTICAST", "-m addrtype --src-type UNICAST",
		"-m addrtype --dst-type MULTICAST,UNICAST",
	}
}

func conntrackRules() []string {
	return []string{
		"-m state --state NEW", "-m state --state INVALID,UNTRACKED", "-m conntrack ! --ctstate NEW",
		"-m conntrack --ctstate NEW,SNAT", "-m conntrack ! --ctstate SNAT", "-m conntrack ! --ctstate DNAT,INVALID",
		"-m conntrack --ctstate ESTABLISHED,RELATED",
		// Without a connection the other tests do not count, beside a state.
		"-m conntrack --ctstate INVALID --ctproto 17", "-m conntrack --ctproto 17", "-m conntrack ! --ctproto 17",
		"-m conntrack ! --ctstate NEW --ctorigdst 10.9.0.1", "-m conntrack --ctorigdst 10.9.0.0/24",
		"-m conntrack ! --ctorigsrc 10.9.0.9", "-m conntrack --ctreplsrc 10.9.0.1", "-m conntrack --ctorigdstport 53:80",
		"-m conntrack ! --ctorigdstport 53", "-m conntrack --ctreplsrcport 80", "-m conntrack --ctdir ORIGINAL",
		"-m conntrack --ctdir REPLY", "-m conntrack --ctstatus NONE", "-m conntrack ! --ctstatus NONE",
		"-m conntrack ! --ctstatus SEEN_REPLY,ASSURED", "-m conntrack --ctstatus CONFIRMED",
		"-m conntrack --ctorigsrc 0.0.0.0/0", "-m connmark --mark 0", "-m connmark ! --mark 0",
	}
}

// ipsets of every type, with elements that some packet meets.
const ipsets = `create ip hash:ip
add ip 10.9.0.9
create ip24 hash:ip netmask 24
add ip24 10.9.0.0
create ip6 hash:ip family inet6
add ip6 2001:db8::9
create net hash:net
add net 10.0.0.0/8
add net 10.9.0.64/26 nomatch
add net 10.9.0.77
create net6 hash:net family inet6
add net6 2001:db8::/64
add net6 2001:db8::8/125 nomatch
create ipport hash:ip,port
add ipport 10.9.0.1,80
add ipport 10.9.0.1,udp:53
add ipport 10.9.0.1,sctp:80
add ipport 10.9.0.9,icmp:8/0
add ipport 10.9.0.9,tcp:1000
add ipport 10.9.0.1,47:0
create ipport6 hash:ip,port family inet6
add ipport6 2001:db8::1,80
add ipport6 2001:db8::1,udp:53
add ipport6 2001:db8::9,icmpv6:128/0
create netport hash:net,port
add netport 10.9.0.0/24,80
add netport 10.9.0.0/28,80 nomatch
add netport 10.9.0.0/24,udp:53
create ipportip hash:ip,port,ip
add ipportip 10.9.0.9,80,10.9.0.1
create ipportnet hash:ip,port,net
add ipportnet 10.9.0.1,80,10.9.0.0/24
create netiface hash:net,iface
add netiface 10.9.0.0/24,v0
create wild hash:net,iface
add wild 10.9.0.0/24,v wildcard
create port bitmap:port range 0-1024
add port 80
add port 53
create bits bitmap:ip range 10.9.0.0/24
add bits 10.9.0.1
create mac bitmap:ip,mac range 10.9.0.0/24
add mac 10.9.0.9,02:00:00:00:00:09
add mac 10.9.0.77,02:00:00:00:00:01
create empty hash:ip
create expiring hash:ip timeout 600
add expiring 10.9.0.9 timeout 300
create list list:set
add list ip6
add list ipport
add list empty
add list port
`

// setRules ask the sets that iptables takes for the family.
func setRules(family string) (rules []string) {
	sets := []string{
		"ip src", "ip dst", "ip24 src", "net src", "net dst", "ipport dst,dst", "ipport src,dst", "ipport src,src",
		"ipport dst", "netport dst,dst", "netport src,dst", "ipportip src,dst,dst", "ipportnet dst,dst,src",
		"netiface src,src", "netiface src,dst", "wild src,src", "bits dst", "mac src,src", "empty src", "expiring src",
		"ip src,dst",
	}
	if family == "ip6" {
		sets = []string{"ip6 src", "ip6 dst", "net6 src", "net6 dst", "ipport6 dst,dst", "ipport6 src,src"}
	}
	for _, set := range append(sets, "port dst", "port src", "list dst,dst", "list src,src", "list dst") {
		rules = append(rules, "-m set --match-set "+set, "-m set ! --match-set "+set)
	}
	return rules
}
