package explain

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Assumption is something of the packet that nobody said, and what was taken for
// it.
type Assumption struct {
	Fields []ruleset.Field
	Text   string // as a flag would say it: --ttl 64
}

// Looked lists the texts of the assumptions that some rule on the packet's way
// looked at, each once: the answer hangs on them.
func Looked(j *replay.Journey, list []Assumption) []string {
	var out []string
	asked := fieldsAsked(j)
	for _, a := range list {
		if slices.Contains(out, a.Text) {
			continue
		}
		if slices.ContainsFunc(a.Fields, func(f ruleset.Field) bool { return asked[f] }) {
			out = append(out, a.Text)
		}
	}
	return out
}

// fieldsAsked are the fields that rules looked at before the packet left each.
func fieldsAsked(j *replay.Journey) map[ruleset.Field]bool {
	asked := make(map[ruleset.Field]bool)
	for i := range j.Stages {
		if j.Stages[i].Result == nil {
			continue
		}
		for k := range j.Stages[i].Result.Steps {
			s := &j.Stages[i].Result.Steps[k]
			if s.Rule == nil || s.Reached == replay.No {
				continue
			}
			for _, statement := range s.Rule.Statements {
				ask(asked, statement)
				if s.Truth == replay.No && statement == s.At {
					break
				}
			}
		}
	}
	return asked
}

func ask(asked map[ruleset.Field]bool, s ruleset.Statement) {
	switch s := s.(type) {
	case *ruleset.Match:
		for _, f := range s.Fields {
			asked[f] = true
		}
	case *ruleset.VerdictMap:
		for _, f := range s.Fields {
			asked[f] = true
		}
	case *ruleset.Any:
		for _, alternative := range s.Of {
			for _, inner := range alternative {
				ask(asked, inner)
			}
		}
	case *ruleset.Assign:
		if s.From != 0 {
			asked[s.From] = true
		}
	}
}

// Assumptions lists what a description left open: given reports which flags of
// the command line were set.
func Assumptions(d *Description, given func(flag string) bool) []Assumption {
	var out []Assumption
	assume := func(flag, value string, fields ...ruleset.Field) {
		if !given(flag) {
			out = append(out, Assumption{fields, "--" + flag + " " + value})
		}
	}
	assume("mark", "0", ruleset.Mark)
	assume("ttl", "64", ruleset.IPTTL, ruleset.IP6HopLimit)
	assume("dscp", "0", ruleset.IPDSCP)
	udpLength, _ := ruleset.Payload(ruleset.Transport, 4, 2)
	ip6Length, _ := ruleset.Payload(ruleset.Network, 4, 2)
	assume("length", "of headers alone", ruleset.Length, ruleset.IPLength, udpLength, ip6Length)
	if !given("state") {
		out = append(out, Assumption{[]ruleset.Field{ruleset.CTState}, "--state new"})
	}
	if len(d.DestinationMAC) > 0 {
		out = append(out, Assumption{[]ruleset.Field{ruleset.DestinationMAC}, "a destination MAC of zeros"})
	}
	switch d.Protocol {
	case 6:
		flags := "syn"
		if d.State == ruleset.CTEstablished {
			flags = "ack"
		}
		assume("tcp-flags", flags, ruleset.TCPFlags)
	case 1, 58:
		assume("icmp-type", "echo-request", ruleset.ICMPType, ruleset.ICMPCode, ruleset.ICMPTypeCode)
	}
	if d.SourcePort != 0 {
		assume("sport", strconv.Itoa(int(d.SourcePort)), ruleset.SourcePort, ruleset.CTOrigSrcPort)
	}
	return out
}

// UnlikelyPort is an ephemeral port that no rule asks for by itself.
func UnlikelyPort(rulesets []*ruleset.Ruleset) uint16 {
	taken := make(map[uint16]bool)
	note := func(m *ruleset.Match) {
		if len(m.Fields) != 1 || m.Fields[0] != ruleset.SourcePort {
			return
		}
		for _, r := range m.Ranges {
			if from, to := portOf(r.From), portOf(r.To); to-from < narrowRange {
				for p := int(from); p <= int(to); p++ {
					taken[uint16(p)] = true
				}
			}
		}
	}
	for _, rs := range rulesets {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					for _, s := range r.Statements {
						if m, ok := s.(*ruleset.Match); ok {
							note(m)
						}
					}
				}
			}
		}
	}
	for p := uint16(firstTried); p < lastEphemeral; p++ {
		if !taken[p] {
			return p
		}
	}
	return firstTried
}

// Linux gives out 32768 to 60999 (net.ipv4.ip_local_port_range). A range of
// rules narrower than narrowRange means a service, a wider one all of them.
const (
	firstTried    = 45678
	lastEphemeral = 60999
	narrowRange   = 256
)

func portOf(b []byte) uint16 {
	if len(b) != 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}
