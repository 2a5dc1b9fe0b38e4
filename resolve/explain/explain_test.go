package explain

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

func rules(t testing.TB, lines ...string) *ruleset.Ruleset {
	t.Helper()
	text := "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n" + strings.Join(lines, "\n") + "\nCOMMIT\n"
	rs, err := iptables.Parse(strings.NewReader(text), iptables.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// TestBuiltPacketsReadAsDescribed holds the builder to package packet, which
// reads what the kernel sends.
func TestBuiltPacketsReadAsDescribed(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for name, d := range map[string]Description{
		"tcp":      {Source: v4, Destination: v4, Protocol: 6, SourcePort: 1, DestinationPort: 80, TCPFlags: 0x12, TTL: 3},
		"udp6":     {Source: v6, Destination: v6, Protocol: 17, SourcePort: 1, DestinationPort: 53, Length: 100},
		"icmp":     {Source: v4, Destination: v4, Protocol: 1, ICMPType: 3, ICMPCode: 4},
		"fragment": {Source: v4, Destination: v4, Protocol: 17, FragmentOffset: 1480},
		"sctp6":    {Source: v6, Destination: v6, Protocol: 132, SourcePort: 7, DestinationPort: 8},
		"gre":      {Source: v4, Destination: v4, Protocol: 47},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Build(d)
			if err != nil {
				t.Fatal(err)
			}
			var h packet.Packet
			packet.Parse(packet.EtherType(p.EtherType), p.Bytes, &h)
			if h.Source != d.Source || h.Destination != d.Destination || uint8(h.Protocol) != d.Protocol ||
				h.IPLength != p.Length || d.Length != 0 && h.IPLength != d.Length {
				t.Errorf("read as %+v", h.Header)
			}
			if d.FragmentOffset == 0 && (h.SourcePort != d.SourcePort || h.DestinationPort != d.DestinationPort) ||
				d.FragmentOffset != h.Fragment.Offset || d.TCPFlags != uint8(h.TCP.Flags) || d.ICMPType != h.ICMP.Type {
				t.Errorf("read as %+v", h.Header)
			}
			if want := d.TTL; h.TTL != want && (want != 0 || h.TTL != 64) {
				t.Errorf("ttl %d, want %d", h.TTL, want)
			}
		})
	}
}

func TestUnlikelyPortIsNoneThatRulesAskFor(t *testing.T) {
	rs := rules(t, "-A INPUT -p tcp -m tcp --sport 45678 -j DROP", "-A INPUT -p tcp -m tcp --sport 45679:45700 -j DROP",
		"-A INPUT -p tcp -m tcp --sport 1024:65535 -j ACCEPT")
	if got := UnlikelyPort([]*ruleset.Ruleset{rs}); got != 45701 {
		t.Errorf("took %d", got)
	}
}

func TestAssumptionsAreToldWhereARuleLookedAtThem(t *testing.T) {
	d := Description{
		Source: netip.MustParseAddr("192.0.2.9"), Destination: netip.MustParseAddr("192.0.2.1"), Protocol: 6,
		SourcePort: 45678, DestinationPort: 80, State: ruleset.CTNew, In: replay.Interface{Known: true, Name: "eth0"},
	}
	p, err := Build(d)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		rule string
		want []string
	}{
		"none":      {"-A INPUT -s 192.0.2.0/24 -j ACCEPT", nil},
		"ttl":       {"-A INPUT -m ttl --ttl-eq 64 -j ACCEPT", []string{"--ttl 64"}},
		"not met":   {"-A INPUT -s 10.0.0.0/8 -m ttl --ttl-eq 64 -j ACCEPT", nil},
		"two":       {"-A INPUT -p tcp -m tcp --sport 1024:65535 -m mark --mark 0x0 -j ACCEPT", []string{"--mark 0", "--sport 45678"}},
		"was given": {"-A INPUT -m conntrack --ctstate NEW -j ACCEPT", nil},
	} {
		t.Run(name, func(t *testing.T) {
			j := replay.New(rules(t, c.rule)).Journey(p, Saved{}, replay.Options{Steps: true})
			got := Looked(j, Assumptions(&d, func(flag string) bool { return flag == "state" }))
			if !slices.Equal(got, c.want) {
				t.Errorf("told %q, want %q", got, c.want)
			}
		})
	}
}

const recordedDrop = `{"type":"drop","packet":{"family":"ip","protocol":"tcp","source":"203.0.113.9","source_port":40000,
"destination":"10.0.0.2","destination_port":80,"tcp_flags":["syn"],"ip_length":60,"ttl":60},
"hook":"input","in":{"index":2,"name":"eth0"},"verdict":"drop","cause":"policy","conntrack":{"state":"new"}}`

func TestRecordedDropsAfterAChange(t *testing.T) {
	index := func(string) uint32 { return 2 }
	base := "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"
	for name, c := range map[string]struct {
		change func(*drop.Drop)
		rule   string
		want   Outcome
	}{
		"allowed":                 {nil, "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", Passes},
		"not what was allowed":    {nil, "-A INPUT -p tcp -m tcp --dport 81 -j ACCEPT", Drops},
		"rejected":                {nil, "-A INPUT -p tcp -j REJECT --reject-with tcp-reset", Rejects},
		"limited":                 {nil, "-A INPUT -p tcp -m limit --limit 1/sec -j ACCEPT", Unknown},
		"on what records lack":    {nil, "-A INPUT -m dscp --dscp 0x00 -j ACCEPT", Unknown},
		"never by these rules":    {func(d *drop.Drop) { d.Packet.DestinationPort = ref16(22) }, base, Unknown},
		"by the kernel":           {func(d *drop.Drop) { d.Cause = "kernel" }, base, NotRules},
		"no ports in the record":  {func(d *drop.Drop) { d.Packet.SourcePort = nil }, base, Unknown},
		"no flags in the record":  {func(d *drop.Drop) { d.Packet.TCPFlags = nil }, base, Unknown},
		"state not in the record": {func(d *drop.Drop) { d.Conntrack = nil }, "-A INPUT -m conntrack --ctstate NEW -j ACCEPT", Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			var d drop.Drop
			if err := json.Unmarshal([]byte(recordedDrop), &d); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(&d)
			}
			got := Replay(&d, replay.New(rules(t, base)), replay.New(rules(t, base, c.rule)), Saved{}, index, index)
			if got.Outcome != c.want {
				t.Errorf("%s (%s), want %s", got.Outcome, got.Message, c.want)
			}
		})
	}
}

func ref16(n uint16) *uint16 { return &n }

// FuzzRecorded: whatever a record holds, it is a packet or an error.
func FuzzRecorded(f *testing.F) {
	f.Add([]byte(recordedDrop))
	f.Add([]byte(`{"hook":"forward","packet":{"family":"ip6","protocol":"icmpv6","source":"::1","destination":"fe80::1%eth0","fragment":{"offset":9}}}`))
	f.Add([]byte(`{"hook":"input","packet":{"family":"ip","protocol":"udp","source":"::1","destination":"1.2.3.4","ip_length":-1}}`))
	now := replay.New(rules(f, "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d drop.Drop
		if json.Unmarshal(b, &d) != nil {
			return
		}
		Replay(&d, now, now, Saved{}, func(string) uint32 { return 1 }, func(string) uint32 { return 1 })
	})
}
