package filter_test

import (
	"encoding/binary"
	"testing"

	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter"
)

func mustParse(t testing.TB, s filter.Spec) *filter.Filter {
	t.Helper()
	f, err := filter.Parse(s)
	if err != nil {
		t.Fatalf("Parse(%+v): %v", s, err)
	}
	return f
}

// matchTest is an event with the flags that find it and those that do not.
type matchTest struct {
	name  string
	event *event.Event
	yes   []filter.Spec
	no    []filter.Spec
}

func checkMatch(t *testing.T, tests []matchTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range tt.yes {
				if f := mustParse(t, s); !f.MatchEvent(tt.event) {
					t.Errorf("%q does not match, want a match", f.Describe())
				}
			}
			for _, s := range tt.no {
				if f := mustParse(t, s); f.MatchEvent(tt.event) {
					t.Errorf("%q matches, want none", f.Describe())
				}
			}
		})
	}
}

func port(v ...string) filter.Spec  { return filter.Spec{Port: v} }
func sport(v ...string) filter.Spec { return filter.Spec{Sport: v} }
func dport(v ...string) filter.Spec { return filter.Spec{Dport: v} }
func host(v ...string) filter.Spec  { return filter.Spec{Host: v} }
func src(v ...string) filter.Spec   { return filter.Spec{Src: v} }
func dst(v ...string) filter.Spec   { return filter.Spec{Dst: v} }
func proto(v ...string) filter.Spec { return filter.Spec{Proto: v} }

func TestMatchPacket(t *testing.T) {
	tcp := flow{6, "192.0.2.1", "10.0.0.2", 40022, 80}
	tagged := newEvent(append([]byte{0, 5, 0x08, 0}, tcp.packet()...))
	tagged.Protocol = 0x8100
	arp := newEvent([]byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2})
	arp.Protocol = 0x0806
	checkMatch(t, []matchTest{
		{"tcp", newEvent(tcp.packet()),
			[]filter.Spec{
				port("80"), port("1", "80"), port("http"), port("79-81"), port("40022"), sport("40022"), dport("80"),
				host("10.0.0.2"), host("192.0.2.0/24"), src("192.0.2.1"), dst("10.0.0.0/8"), dst("0.0.0.0/0"),
				proto("tcp"), proto("udp", "6"),
				{Sport: []string{"40022"}, Dport: []string{"80"}, Src: []string{"192.0.2.1"}, Proto: []string{"tcp"}},
			},
			[]filter.Spec{
				port("81"), port("81-90"), sport("80"), dport("40022"), host("10.0.0.3"), src("10.0.0.2"), dst("192.0.2.1"),
				proto("udp"), host("::/0"),
				{Port: []string{"80"}, Proto: []string{"udp"}},
			}},
		{"sctp over ipv6", newEvent(flow{132, "2001:db8::1", "2001:db8::2", 5, 6}.packet()),
			[]filter.Spec{sport("5"), dport("6"), src("2001:db8::1"), dst("2001:db8::/64"), host("::/0"), proto("sctp")},
			[]filter.Spec{dport("5"), src("2001:db8::2"), host("0.0.0.0/0"), host("2001:db9::/32")}},
		{"icmp has an id, no port", newEvent(flow{1, "192.0.2.1", "10.0.0.2", 8, 80}.packet()),
			[]filter.Spec{host("10.0.0.2"), proto("icmp")}, []filter.Spec{port("80"), port("2048"), port("0-65535")}},
		{"gre", newEvent(flow{47, "192.0.2.1", "10.0.0.2", 0, 0}.packet()),
			[]filter.Spec{proto("gre"), src("192.0.2.1")}, []filter.Spec{port("0-65535")}},
		{"behind a vlan tag", tagged, []filter.Spec{dport("80"), host("10.0.0.2")}, []filter.Spec{port("5")}},
		{"arp", arp, []filter.Spec{src("192.0.2.1"), dst("10.0.0.2")}, []filter.Spec{port("0-65535"), proto("0"), proto("tcp")}},
		{"no header at all", newEvent(nil), []filter.Spec{{}}, []filter.Spec{port("0-65535"), host("0.0.0.0/0"), proto("0")}},
	})
}

func TestMatchConntrack(t *testing.T) {
	// docker run -p 80:8080, looked at in FORWARD
	client := flow{6, "192.0.2.1", "198.51.100.1", 40022, 80}
	inside := flow{6, "192.0.2.1", "172.17.0.5", 40022, 8080}
	answer := flow{6, "172.17.0.5", "192.0.2.1", 8080, 40022}
	outside := flow{6, "198.51.100.1", "192.0.2.1", 80, 40022}
	// a fragment past the first of the same
	piece := inside.packet()
	binary.BigEndian.PutUint16(piece[6:], 100)
	// echo with id 80
	ping := flow{1, "192.0.2.1", "10.0.0.2", 80, 0x0800}
	pong := flow{1, "10.0.0.2", "192.0.2.1", 80, 0}

	dnat := []filter.Spec{
		port("80"), port("8080"), dport("80"), dport("8080"), sport("40022"),
		dst("198.51.100.1"), dst("172.17.0.5"), src("192.0.2.1"),
		{Dst: []string{"172.17.0.5"}, Dport: []string{"80"}}, // each flag for itself
	}
	notDNAT := []filter.Spec{sport("80"), sport("8080"), dport("40022"), src("198.51.100.1"), src("172.17.0.5"), dst("192.0.2.1")}
	back := []filter.Spec{
		port("80"), port("8080"), sport("80"), sport("8080"), dport("40022"),
		src("198.51.100.1"), src("172.17.0.5"), dst("192.0.2.1"),
	}
	notBack := []filter.Spec{dport("80"), dport("8080"), sport("40022"), dst("198.51.100.1"), dst("172.17.0.5"), src("192.0.2.1")}

	checkMatch(t, []matchTest{
		{"dnat", track(newEvent(inside.packet()), original, client, answer), dnat, notDNAT},
		{"dnat before it happens", track(newEvent(client.packet()), original, client, answer), dnat, notDNAT},
		{"reply inside", track(newEvent(answer.packet()), reply, client, answer), back, notBack},
		{"reply outside", track(newEvent(outside.packet()), reply, client, answer), back, notBack},
		{"no header", track(newEvent(nil), original, client, answer), dnat, append(notDNAT, proto("tcp"))},
		{"fragment past the first", track(newEvent(piece), original, client, answer), dnat, notDNAT},
		{"fragment without an entry", newEvent(piece), []filter.Spec{dst("172.17.0.5"), proto("tcp")}, []filter.Spec{port("0-65535")}},
		{"icmp id is no port", track(newEvent(ping.packet()), original, ping, pong), []filter.Spec{host("10.0.0.2")}, []filter.Spec{port("0-65535")}},
	})
	untracked := track(newEvent(inside.packet()), original, client, answer)
	untracked.CT.Present = event.CTUntracked
	checkMatch(t, []matchTest{{"untracked has no tuples", untracked, []filter.Spec{dport("8080")}, []filter.Spec{dport("80")}}})
}

func TestMatchQuoted(t *testing.T) {
	// A router tells the client that its packet did not get through.
	packet := flow{6, "192.0.2.1", "10.0.0.2", 40022, 80}
	failure := flow{1, "203.0.113.1", "192.0.2.1", 3, 0}
	e := newEvent(failure.header(append(failure.ports()[:8], packet.packet()[:28]...)))
	checkMatch(t, []matchTest{{"icmp error", e,
		[]filter.Spec{
			port("80"), dport("80"), sport("40022"), src("192.0.2.1"), dst("10.0.0.2"), // of the quoted packet
			src("203.0.113.1"), dst("192.0.2.1"), proto("icmp"),
		},
		[]filter.Spec{sport("80"), dport("40022"), src("10.0.0.2"), proto("tcp")},
	}})
}

func TestMatchPlace(t *testing.T) {
	hooked := &event.Event{Hook: 1, PF: 2, Netns: 7, Reason: 11, Mark: 0x15, Rule: event.RuleInfo{Kind: event.RuleNFT}}
	copy(hooked.InName[:], "eth0")
	copy(hooked.DevName[:], "br0")
	plain := &event.Event{Hook: event.NoHook, Netns: 8}
	copy(plain.DevName[:], "veth12")
	lost := &event.Event{Hook: event.NoHook, Flags: event.HookFrame} // in nf_hook_slow, its state not found

	iface := func(v ...string) filter.Spec { return filter.Spec{Iface: v} }
	in := func(v ...string) filter.Spec { return filter.Spec{In: v} }
	out := func(v ...string) filter.Spec { return filter.Spec{Out: v} }
	hook := func(v ...string) filter.Spec { return filter.Spec{Hook: v} }
	mark := func(v ...string) filter.Spec { return filter.Spec{Mark: v} }
	netns := func(v ...uint32) filter.Spec { return filter.Spec{NetnsInodes: v} }
	reason := func(v ...uint32) filter.Spec { return filter.Spec{ReasonNumbers: v} }
	checkMatch(t, []matchTest{
		{"at a hook", hooked,
			[]filter.Spec{
				iface("eth0"), iface("br0"), in("eth0"), in("eth+"), in("x", "e*"), in("*"), iface("eth0*"),
				hook("input"), hook("OUTPUT", "INPUT"), netns(7), netns(1, 7), reason(11), {Netfilter: true},
				mark("0x15"), mark("21"), mark("0x10/0xf0"), mark("1", "5/7"), mark("0/0"),
			},
			[]filter.Spec{
				iface("eth"), iface("eth00"), in("br0"), out("eth0"), out("*"), hook("forward"), netns(8), reason(1),
				mark("0x10"), mark("0/0xf"), in("ETH0"),
			}},
		{"netfilter had no part", plain,
			[]filter.Spec{iface("veth12"), iface("veth*"), in("veth12"), out("veth+"), netns(8), mark("0")},
			[]filter.Spec{hook("input"), in("eth0"), {Netfilter: true}}},
		{"hook not found", lost, []filter.Spec{{Netfilter: true}}, []filter.Spec{hook("input"), iface("*")}},
	})
}

func TestMatchResolved(t *testing.T) {
	f := mustParse(t, filter.Spec{
		Table: []string{"filter"}, Chain: []string{"INPUT", "DOCKER"}, CTState: []string{"NEW", "invalid"}, Port: []string{"80"},
	})
	for _, tt := range []struct {
		table, chain, state string
		want                bool
	}{
		{"filter", "DOCKER", "new", true},
		{"filter", "INPUT", "invalid", true},
		{"nat", "INPUT", "new", false},
		{"filter", "FORWARD", "new", false},
		{"filter", "INPUT", "established", false},
		{"filter", "INPUT", "", false},
		{"", "", "", false},
	} {
		if got := f.MatchResolved(tt.table, tt.chain, tt.state); got != tt.want {
			t.Errorf("MatchResolved(%q, %q, %q) = %t, want %t", tt.table, tt.chain, tt.state, got, tt.want)
		}
	}
	if _, exact := f.Kernel(); exact {
		t.Error("the kernel's form is said to be exact, but knows no ruleset")
	}
}
