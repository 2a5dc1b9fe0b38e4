package output

import (
	"net/netip"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// sample is a drop with a name that tells what is special about it.
type sample struct {
	name string
	drop drop.Drop
}

func ptr[T any](v T) *T { return &v }

var sampleTime = time.Date(2026, 11, 22, 18, 44, 2, 117835123, time.UTC)

func tcpSYN() drop.Packet {
	return drop.Packet{
		Family: "ip", Protocol: "tcp",
		Source: netip.MustParseAddr("203.0.113.9"), SourcePort: ptr[uint16](51234),
		Destination: netip.MustParseAddr("10.0.0.2"), DestinationPort: ptr[uint16](80),
		TCPFlags: []string{"syn"}, TCP: &drop.TCP{Seq: 123, Window: 64240, Options: "mss 1460,sackOK"},
		IPLength: 60, PayloadLength: ptr(0), TTL: 64, IPID: ptr[uint16](1),
	}
}

func device(index uint32, name string) *drop.Interface {
	return &drop.Interface{Index: index, Name: name}
}

// ruleDrop is the plainest drop: a certain rule on INPUT.
func ruleDrop() drop.Drop {
	return drop.Drop{
		Type: "drop", Schema: drop.Schema, Time: sampleTime,
		Packet: tcpSYN(), Netns: drop.Netns{Inode: 4026531840, Own: true},
		Hook: "input", In: device(2, "eth0"),
		Verdict: "drop", Cause: "rule", Reason: "NETFILTER_DROP", Location: "nft_do_chain+0x3e8",
		Rule: &drop.Rule{
			Engine: "iptables-nft", Family: "ip", Table: "filter", BaseChain: "INPUT", Chain: "INPUT",
			Priority: ptr[int32](0), Handle: 12, Number: 7, Text: "-A INPUT -p tcp -m tcp --dport 80 -j DROP",
		},
		Attribution: drop.Attribution{Certainty: drop.Certain, Method: "nft-expression"},
		Conntrack:   &drop.Conntrack{State: "new"},
	}
}

func with(change func(*drop.Drop)) drop.Drop {
	d := ruleDrop()
	change(&d)
	return d
}

// samples has one drop of every kind.
func sampleArrivals() drop.Arrivals {
	return drop.Arrivals{
		Type: "arrivals", Schema: drop.Schema, Time: sampleTime, Arrived: 3, Sent: 2, Undecided: 1, LeftOut: []string{"--hook"},
		Interfaces: []drop.ArrivalPlace{
			{Netns: drop.Netns{Inode: 1, Name: "web"}, Index: 2, Name: "eth0", Arrived: 3}, {Sent: 2},
		},
	}
}

func samples() []sample {
	return append(ruleSamples(), otherSamples()...)
}

func ruleSamples() []sample {
	return []sample{
		{"rule", ruleDrop()},
		{"rule with why", with(func(d *drop.Drop) {
			d.Why = []drop.Why{{
				Code: "accept-below", Message: "rule 9 would accept it, but stands below rule 7",
				Fix: `iptables-nft -I INPUT 7 -s 198.51.100.0/22 -p tcp -m comment --comment "web for partners" --dport 80 -j ACCEPT`,
			}}
		})},
		{"reject in user chain", with(func(d *drop.Drop) {
			d.Hook, d.In, d.Out, d.Verdict = "forward", device(4, "docker0"), device(2, "eth0"), "reject"
			d.Rule = &drop.Rule{
				Engine: "nftables", Family: "inet", Table: "firewalld", BaseChain: "filter_FORWARD",
				Chain: "filter_FWD_public", Priority: ptr[int32](10), Handle: 44, Number: 6,
				Text: "reject with icmpx admin-prohibited",
			}
		})},
		{"policy", with(func(d *drop.Drop) {
			d.Cause, d.Attribution.Method = "policy", "policy"
			d.Rule = &drop.Rule{Engine: "iptables-legacy", Family: "ip6", Table: "filter", BaseChain: "INPUT", Chain: "INPUT", Policy: "drop"}
			d.Packet.Family = "ip6"
			d.Packet.Source = netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678")
			d.Packet.Destination = netip.MustParseAddr("2001:db8::2")
		})},
		{"text missing", with(func(d *drop.Drop) {
			d.Rule.Text, d.Rule.TextMissing = "", "the nft program is not installed"
		})},
		{"probable", with(func(d *drop.Drop) {
			d.Attribution = drop.Attribution{Certainty: drop.Probable, Method: "replay", Note: "no probe on this kernel tells the rule; fentry would"}
		})},
		{"candidates", with(func(d *drop.Drop) {
			a, b := *d.Rule, *d.Rule
			a.Number, a.Handle, a.Text = 3, 8, "-A INPUT -m limit --limit 5/sec -j DROP"
			d.Rule = nil
			d.Attribution = drop.Attribution{
				Certainty: drop.Probable, Method: "replay",
				Candidates: []drop.Rule{a, b}, Note: "a rate limit cannot be replayed",
			}
		})},
		{"candidates in two chains", with(func(d *drop.Drop) {
			a, b := *d.Rule, *d.Rule
			a.Chain, a.Number, a.Text = "DOCKER-USER", 1, "-A DOCKER-USER -j DROP"
			d.Rule = nil
			d.Attribution = drop.Attribution{Certainty: drop.Probable, Candidates: []drop.Rule{a, b}}
		})},
		{"unknown", with(func(d *drop.Drop) {
			d.Rule = nil
			d.Attribution = drop.Attribution{Certainty: drop.Unknown, Note: "the ruleset was replaced since; the next drop will tell"}
		})},
		{"queue failed in a namespace", with(func(d *drop.Drop) {
			d.Verdict, d.Netns = "queue_failed", drop.Netns{Inode: 4026532281, PID: 812, Command: "nginx"}
			d.Rule.Text = "-A INPUT -p tcp -j NFQUEUE --queue-num 5"
		})},
		{"nat", with(func(d *drop.Drop) {
			d.Hook, d.In, d.Out = "forward", device(2, "eth0"), device(5, "docker0")
			d.Packet.Destination, d.Packet.DestinationPort = netip.MustParseAddr("172.17.0.2"), ptr[uint16](8080)
			d.Conntrack = &drop.Conntrack{
				State: "new", Dir: "original", Status: []string{"dnat"}, NAT: []string{"dnat"}, TCPState: "SYN_SENT",
				Zone: 3, Mark: 0x10,
				Original: &drop.Tuple{Source: d.Packet.Source, SourcePort: 51234, Destination: netip.MustParseAddr("10.0.0.2"), DestinationPort: 80, Protocol: "tcp"},
				Reply:    &drop.Tuple{Source: netip.MustParseAddr("172.17.0.2"), SourcePort: 8080, Destination: d.Packet.Source, DestinationPort: 51234, Protocol: "tcp"},
			}
		})},
		{"hostile", with(func(d *drop.Drop) {
			d.In.Name = "e\x1b[2Jx"
			d.Rule.Chain = "IN\nPUT"
			d.Rule.Text = "-A INPUT -m comment --comment \"\u202egnp \x9b31m\xff 日本語\" -j DROP"
			d.Netns = drop.Netns{Inode: 1, Name: "a\rb"}
		})},
	}
}

func otherSamples() []sample {
	kernel := func(reason, location string) func(*drop.Drop) {
		return func(d *drop.Drop) {
			d.Hook, d.Cause, d.Rule, d.Conntrack = "", "kernel", nil, nil
			d.Reason, d.Location = reason, location
		}
	}
	return []sample{
		{"kernel", with(kernel("NO_SOCKET", "tcp_v4_rcv+0x123"))},
		{"kernel with reason of its own", with(func(d *drop.Drop) {
			kernel("FUTURE_REASON", "some_function+0x1")(d)
			d.In = nil
			d.Attribution = drop.Attribution{Certainty: drop.Unknown, Note: "this kernel gives no reason"}
			d.Stack = []string{"kfree_skb_reason+0x10", "some_function+0x1"}
		})},
		{"hook function", with(func(d *drop.Drop) {
			d.Hook, d.Cause, d.Function, d.Rule = "prerouting", "hook", "ipv4_conntrack_in", nil
			d.Attribution.Method = "hook"
			d.Conntrack = &drop.Conntrack{State: "invalid"}
		})},
		{"output with sender", with(func(d *drop.Drop) {
			d.Hook, d.In, d.Out = "output", nil, device(2, "eth0")
			d.Rule.Chain, d.Rule.BaseChain, d.Rule.Text = "OUTPUT", "OUTPUT", "-A OUTPUT -j DROP"
			d.Process = &drop.Process{PID: 4711, Command: "curl"}
			d.Socket = &drop.Socket{Role: drop.Sender, UID: 1000}
			d.Packet.Mark, d.Packet.VLAN = 0x2a, ptr[uint16](100)
			d.Packet.Segments = 12
		})},
		{"sender that is gone", with(func(d *drop.Drop) {
			d.Hook, d.In, d.Out = "output", nil, device(2, "eth0")
			d.Socket = &drop.Socket{Role: drop.Sender, UID: 33}
		})},
		{"for one of several", with(func(d *drop.Drop) {
			d.Socket = &drop.Socket{Role: drop.Receiver, UID: 0, Processes: []drop.Process{{PID: 7, Command: "nginx"}, {PID: 8, Command: "nginx"}}}
		})},
		{"for one", with(func(d *drop.Drop) {
			d.Socket = &drop.Socket{Role: drop.Receiver, Processes: []drop.Process{{PID: 812, Command: "sshd"}}}
		})},
		{"icmp error", with(func(d *drop.Drop) {
			inner := tcpSYN()
			inner.Source, inner.Destination = inner.Destination, inner.Source
			inner.TCP, inner.TCPFlags, inner.PayloadLength = nil, nil, nil
			d.Packet = drop.Packet{
				Family: "ip", Protocol: "icmp",
				Source: netip.MustParseAddr("203.0.113.9"), Destination: netip.MustParseAddr("10.0.0.2"),
				ICMPType: ptr[uint8](3), ICMPCode: ptr[uint8](3), PayloadLength: ptr(40), Inner: &inner,
			}
			d.Conntrack = &drop.Conntrack{State: "related", Dir: "reply"}
		})},
		{"arp", with(func(d *drop.Drop) {
			d.Packet = drop.Packet{
				Family: "arp", ARPOperation: "request",
				Source: netip.MustParseAddr("10.0.0.2"), Destination: netip.MustParseAddr("10.0.0.1"),
			}
			d.Conntrack = nil
			d.Rule = &drop.Rule{Engine: "nftables", Family: "arp", Table: "t", Chain: "in", Handle: 4, Text: "arp operation request drop"}
		})},
		{"fragment", with(func(d *drop.Drop) {
			d.Packet.SourcePort, d.Packet.DestinationPort, d.Packet.TCP, d.Packet.TCPFlags = nil, nil, nil, nil
			d.Packet.Protocol, d.Packet.IPLength, d.Packet.PayloadLength = "udp", 1500, ptr(1480)
			d.Packet.Fragment = &drop.Fragment{ID: 77, Offset: 1480, More: true}
		})},
		{"folded", with(func(d *drop.Drop) { d.Repeats = 1204 })},
	}
}
