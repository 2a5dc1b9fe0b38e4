package machine

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/test/nstest"
	"github.com/droptrace/droptrace/tracer/packet"
)

// A rule for VRFs has no table of its own either, and refuses nothing.
func TestOnlyRulesThatRefuseRefuse(t *testing.T) {
	ns := nstest.Name("dt")
	nstest.Named(t, ns)
	for _, rule := range []string{"pref 1000 l3mdev", "pref 1001 ipproto udp dport 5353-5354 prohibit"} {
		if out, err := exec.Command("ip", append([]string{"-n", ns, "rule", "add"}, strings.Fields(rule)...)...).CombinedOutput(); err != nil {
			t.Fatalf("ip rule add %s: %v %s", rule, err, out)
		}
	}
	for _, v := range []struct {
		protocol uint8
		port     uint16
		refuses  bool
	}{{17, 5353, true}, {17, 5355, false}, {6, 5353, false}} {
		q := &diagnose.RouteQuery{To: netip.MustParseAddr("203.0.113.1"), Protocol: packet.Protocol(v.protocol), DestinationPort: v.port}
		var p diagnose.Policy
		if err := nstest.Within(ns, func() (err error) { p, err = decide(q); return err }); err != nil {
			t.Fatal(err)
		}
		if p.Refuses != v.refuses || p.Found {
			t.Errorf("protocol %d port %d: refuses %v, found %v", v.protocol, v.port, p.Refuses, p.Found)
		}
		if last := p.Asked[len(p.Asked)-1]; v.refuses && last.Text != "from all ipproto 17 dport 5353-5354" {
			t.Errorf("the rule is %q", last.Text)
		}
	}
}
