package diagnose

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// invalidAt is a packet that conntrack calls invalid, dropped for that.
func invalidAt(t traffic, hook string, e *table.Entry) *Case {
	m := newModel(ruleset.IPTablesNFT, "ip", "filter")
	base := m.base("CHAIN", hook, "accept")
	c := dropAt(t, base, m.rule("CHAIN", "-m conntrack --ctstate INVALID -j DROP", state(ruleset.CTInvalid), drops), m.rulesets())
	c.Packet.Conntrack = replay.Conntrack{State: ruleset.CTInvalid}
	c.Machine = &machine{}
	c.Lookup = func(*table.Tuple, uint16) (*table.Entry, error) {
		if e == nil {
			return nil, table.ErrNoEntry
		}
		return e, nil
	}
	return c
}

// sealed gives the packet a checksum, spoilt by the bits of wrong.
func sealed(c *Case, at int, wrong uint16) *Case {
	d := newDiagnosis(c)
	header := 20
	if c.Packet.EtherType == 0x86dd {
		header = 40
	}
	body := c.Packet.Bytes[header:]
	binary.BigEndian.PutUint16(body[at:], 0)
	pseudo := d.pseudoHeader(len(body))
	if d.f.Protocol == packet.ProtoICMP {
		pseudo = 0
	}
	binary.BigEndian.PutUint16(body[at:], ^fold(sum(pseudo, body))^wrong)
	return c
}

func TestChecksumOfPackets(t *testing.T) {
	const v4, v6 = "203.0.113.9 192.0.2.1", "2001:db8::9 2001:db8::1"
	for _, test := range []struct {
		ends  string
		proto packet.Protocol
		at    int
	}{
		{v4, packet.ProtoTCP, 16}, {v6, packet.ProtoTCP, 16}, {v4, packet.ProtoUDP, 6}, {v6, packet.ProtoUDP, 6},
		{v4, packet.ProtoICMP, 2}, {v6, packet.ProtoICMPv6, 2},
	} {
		from, to, _ := strings.Cut(test.ends, " ")
		ct := func(hook string, wrong uint16) *Case {
			return sealed(invalidAt(traffic{src: from, dst: to, proto: test.proto, sport: 1, dport: 80, icmp: 8, in: "eth0"}, hook, nil), test.at, wrong)
		}
		wrong := func(c *Case) bool { return newDiagnosis(c).wrongChecksum() }
		if wrong(ct("input", 0)) {
			t.Errorf("%s %s: a right checksum is called wrong", test.proto, test.ends)
		}
		if !wrong(ct("input", 0xff)) {
			t.Errorf("%s %s: a wrong checksum is not seen", test.proto, test.ends)
		}
		if wrong(ct("output", 0xff)) {
			t.Errorf("%s %s: a packet of this host may have none yet", test.proto, test.ends)
		}
		off := ct("input", 0xff)
		off.Machine = &machine{sysctls: map[string]string{"net/netfilter/nf_conntrack_checksum": "0"}}
		cut := ct("input", 0xff)
		cut.Packet.Bytes = cut.Packet.Bytes[:len(cut.Packet.Bytes)-1]
		if wrong(off) || wrong(cut) {
			t.Errorf("%s %s: a checksum that nobody checked, or can check, is called wrong", test.proto, test.ends)
		}
		partial := ct("input", 0)
		d := newDiagnosis(partial)
		body, _ := d.transport()
		if test.proto == packet.ProtoICMP {
			continue // never left to hardware
		}
		binary.BigEndian.PutUint16(body[test.at:], fold(d.pseudoHeader(len(body))))
		if wrong(partial) {
			t.Errorf("%s %s: a checksum that is left to hardware is called wrong", test.proto, test.ends)
		}
	}
}

func TestWhyInvalid(t *testing.T) {
	const synAck = packet.SYN | packet.ACK
	udp := traffic{src: "203.0.113.9", dst: "192.0.2.1", proto: packet.ProtoUDP, sport: 1, dport: 53, in: "eth0"}
	tcp := func(f packet.TCPFlags) traffic {
		return traffic{src: "203.0.113.9", dst: "192.0.2.1", sport: 1, dport: 80, flags: f, in: "eth0"}
	}
	for _, test := range []struct {
		name       string
		traffic    traffic
		state      int // -1 for no entry
		wrong      uint16
		says, nots string
	}{
		{"UDP, wrong checksum", udp, -1, 0xff, "what is: its checksum is wrong", "no connection"},
		{"UDP", udp, -1, 0, "the packet itself is malformed", "no connection"},
		{"SYN", tcp(packet.SYN), -1, 0, "the packet itself is malformed", "is over"},
		{"SYN, wrong checksum", tcp(packet.SYN), -1, 0xff, "its checksum is wrong", "is over"},
		{"SYN-ACK", tcp(synAck), -1, 0, "a SYN that conntrack has not seen", ""},
		{"SYN-ACK, SYN_SENT", tcp(synAck), 1, 0, "acknowledges another number", "does not fit"},
		{"ACK, SYN_SENT", tcp(packet.ACK), 1, 0, "the answer to the SYN passes elsewhere", ""},
		{"ACK, SYN_RECV", tcp(packet.ACK), 2, 0, "outside of the window", "passes elsewhere"},
		{"RST, wrong checksum", tcp(packet.RST), 3, 0xff, "its checksum is wrong", "window"},
		{"RST", tcp(packet.RST), 3, 0, "outside of its window, or its checksum", ""},
		{"ACK, wrong checksum", tcp(packet.ACK), 3, 0xff, "its checksum is wrong", "liberal"},
		{"ACK", tcp(packet.ACK), 3, 0, "nf_conntrack_tcp_be_liberal", ""},
		{"ACK, TIME_WAIT", tcp(packet.ACK), 7, 0, "closed or closing (TIME_WAIT)", ""},
		{"ACK, SYN_SENT2", tcp(packet.ACK), 9, 0, "in the state SYN_SENT2", "clos"},
	} {
		var e *table.Entry
		if test.state >= 0 {
			e = &table.Entry{TCPState: uint8(test.state)}
		}
		at := 16
		if test.traffic.proto == packet.ProtoUDP {
			at = 6
		}
		got := Diagnose(sealed(invalidAt(test.traffic, "input", e), at, test.wrong))
		if len(got) != 1 || !strings.Contains(got[0].Message, test.says) || test.nots != "" && strings.Contains(got[0].Message+got[0].Fix, test.nots) {
			t.Errorf("%s: %+v, want %q, not %q", test.name, got, test.says, test.nots)
		}
	}
}
