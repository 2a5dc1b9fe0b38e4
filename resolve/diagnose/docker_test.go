package diagnose

import (
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

func dockerOut(name string) *ruleset.Match { return equal(interfaceName(name), ruleset.OutName) }

// Docker's rules are told by their chain and shape, and others' that resemble them are
// not called Docker's.
func TestDockersRules(t *testing.T) {
	const first, second = "br-0123456789ab", "br-ba9876543210"
	web := traffic{src: "172.18.0.2", dst: "172.19.0.2", sport: 1, dport: 80, in: first, out: second}
	raw := traffic{src: "203.0.113.9", dst: "172.19.0.2", sport: 1, dport: 80, in: "eth0"}
	ping := traffic{src: "203.0.113.9", dst: "172.19.0.2", proto: packet.ProtoICMP, icmp: 8, in: "eth0"}
	for _, test := range []struct {
		name, table, chain string
		traffic            traffic
		rule               []ruleset.Statement
		code, says, nots   string
	}{
		{"stage 1, to others", "filter", isolationFirst, web, []ruleset.Statement{negated(dst("172.18.0.0/16")), in(first), drops},
			drop.WhyMeantDrop, "of " + first + " is internal", "apart"},
		{"stage 1, from others", "filter", isolationFirst, web, []ruleset.Statement{negated(src("172.19.0.0/16")), dockerOut(second), drops},
			drop.WhyMeantDrop, "of " + second + " is internal", "apart"},
		{"stage 1, interfaces", "filter", isolationFirst, web, []ruleset.Statement{in(first), dockerOut(second), drops},
			drop.WhyDockerIsolation, "apart", ""},
		{"stage 2", "filter", isolationSecond, web, []ruleset.Statement{dockerOut(second), drops}, drop.WhyDockerIsolation, "apart", ""},
		{"raw, Docker's", "raw", "PREROUTING", raw, []ruleset.Statement{dst("172.19.0.2/32"), negated(in(second)), drops},
			drop.WhyDockerUnpublished, "docker run -p", ""},
		{"raw, Docker's, ping", "raw", "PREROUTING", ping, []ruleset.Statement{dst("172.19.0.2/32"), negated(in(second)), drops},
			drop.WhyDockerUnpublished, "gateway_mode_ipv4", "docker run -p"},
	} {
		hook := map[string]string{"filter": "forward", "raw": "prerouting"}[test.table]
		m := newModel(ruleset.IPTablesNFT, "ip", test.table)
		base := m.base(map[string]string{"filter": "FORWARD", "raw": "PREROUTING"}[test.table], hook, "accept")
		m.chain("DOCKER")
		r := m.rule(test.chain, "-j DROP", test.rule...)
		if test.chain != base.Name {
			m.rule(base.Name, "", jump(m.chain(test.chain)))
		}
		c := dropAt(test.traffic, base, r, m.rulesets())
		c.Machine = &machine{routes: map[string]string{"172.19.0.2": second}}
		got := Diagnose(c)
		if len(got) == 0 || got[0].Code != test.code || !strings.Contains(got[0].Message, test.says) ||
			test.nots != "" && strings.Contains(got[0].Message, test.nots) {
			t.Errorf("%s: %+v, want %s %q, not %q", test.name, got, test.code, test.says, test.nots)
		}
	}
}

func TestAdminsRawRuleIsNotDockers(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip", "raw")
	base := m.base("PREROUTING", "prerouting", "accept")
	m.chain("DOCKER")
	r := m.rule("PREROUTING", "-j DROP", dst("198.51.100.77/32"), negated(in("eth9")), drops)
	c := dropAt(traffic{src: "203.0.113.9", dst: "198.51.100.77", sport: 1, dport: 80, in: "eth0"}, base, r, m.rulesets())
	c.Machine = &machine{routes: map[string]string{"198.51.100.77": "eth9"}}
	for _, w := range Diagnose(c) {
		if strings.Contains(w.Message, "Docker") {
			t.Errorf("%+v", w)
		}
	}
}
