package diagnose

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestWayOutFindsItsNeighbour(t *testing.T) {
	m := newModel(ruleset.IPTablesNFT, "ip6", "filter")
	out := m.base("OUTPUT", "output", "drop")
	m.base("INPUT", "input", "drop")
	web6 := traffic{src: "2001:db8::1", dst: "2001:db8::2", sport: 40000, dport: 80, out: "eth0"}
	check(t, dropAt(web6, out, nil, m.rulesets()), drop.Why{Code: drop.WhyPolicyDrop,
		Message: "no rule of OUTPUT accepts tcp 80 to 2001:db8::2, and the OUTPUT policy drops everything else; it finds no IPv6 neighbour either; what follows in its connection needs a rule, too: the INPUT policy drops it",
		Fix: "ip6tables-nft -A OUTPUT -d 2001:db8::2 -p tcp --dport 80 -j ACCEPT && " +
			"ip6tables-nft -A OUTPUT -p icmpv6 --icmpv6-type 135 -j ACCEPT && " +
			"ip6tables-nft -A INPUT -p icmpv6 --icmpv6-type 136 -j ACCEPT && " +
			"ip6tables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"})

	m = newModel(ruleset.IPTablesNFT, "ip6", "filter")
	out = m.base("OUTPUT", "output", "drop")
	m.rule("OUTPUT", "", equal([]byte{58}, ruleset.L4Protocol), accept)
	check(t, dropAt(web6, out, nil, m.rulesets()), drop.Why{Code: drop.WhyPolicyDrop,
		Message: "no rule of OUTPUT accepts tcp 80 to 2001:db8::2, and the OUTPUT policy drops everything else",
		Fix:     "ip6tables-nft -A OUTPUT -d 2001:db8::2 -p tcp --dport 80 -j ACCEPT"})
}
