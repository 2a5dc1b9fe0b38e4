package nftables

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// twins has rules with the same handles in several tables: every chain c is
// handle 1 or 2 of its table, every rule in it counts on from there.
const twins = `
table ip one {
	chain c { type filter hook input priority 0; policy drop;
		drop
	}
}
table ip two {
	chain c { type filter hook input priority 5; policy accept;
		drop
	}
}
table inet three {
	chain c { type filter hook input priority -5; policy drop;
		drop
	}
}
table ip forwards {
	chain c { type filter hook forward priority 0; policy drop;
		drop
	}
}
table ip passes {
	chain c { type filter hook input priority 0; policy accept;
		accept
	}
}
table ip6 six {
	chain c { type filter hook input priority 0; policy drop;
		drop
	}
}
table ip alone {
	chain c {
		drop
	}
}
table netdev zero {
	chain c { type filter hook ingress device "v0" priority 0; policy drop;
		drop
	}
}
table netdev first {
	chain c { type filter hook ingress device "v1" priority 0; policy drop;
		drop
	}
}
table inet early {
	chain c { type filter hook ingress device "v0" priority -1; policy accept;
		drop
	}
}
table ip idle {
	flags dormant
	chain c { type filter hook input priority 0; policy drop;
		drop
	}
}
`

func TestCandidates(t *testing.T) {
	ns := newNamespace(t)
	ns.Run(t, "", "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
	ns.nft(t, twins)
	s := ns.read(t)
	for _, tb := range s.Ruleset().Tables {
		if h := tb.Chains[0].Rules[0].Handle; h != 2 {
			t.Fatalf("table %s: rule handle %d; the test needs them all to be 2", tb.Name, h)
		}
	}
	for _, test := range []struct {
		hook       Hook
		candidates string
	}{
		{Hook{Family: "ip", Name: "input"}, "one two three"},
		{Hook{Family: "ip6", Name: "input"}, "three six"},
		{Hook{Family: "ip", Name: "forward"}, "forwards"},
		{Hook{Family: "ip", Name: "output"}, ""},
		{Hook{Family: "arp", Name: "input"}, ""},
		{Hook{Family: "netdev", Name: "ingress"}, "zero first early"},
		{Hook{Family: "netdev", Name: "ingress", Device: "v0"}, "zero early"},
		{Hook{Family: "netdev", Name: "egress"}, ""},
		{Hook{Family: "ip", Name: "ingress", Device: "v0"}, "early"},
	} {
		var names []string
		for _, r := range s.Candidates(test.hook, 2) {
			names = append(names, r.Chain.Table.Name)
		}
		if got := strings.Join(names, " "); got != test.candidates {
			t.Errorf("%+v: candidates %q, want %q", test.hook, got, test.candidates)
		}
	}
	if got := s.Candidates(Hook{Family: "ip", Name: "input"}, 99); got != nil {
		t.Errorf("candidates with a handle that no rule has: %v", got)
	}
}

func TestRuleAndChainByHandle(t *testing.T) {
	s := everythingNamespace(t).read(t)
	for _, tb := range s.Ruleset().Tables {
		for _, c := range tb.Chains {
			if got, ok := s.Chain(tb.Handle, c.Handle); !ok || got != c {
				t.Errorf("chain %s %s: %v, %v", tb.Name, c.Name, got, ok)
			}
			for _, r := range c.Rules {
				if got, ok := s.Rule(tb.Handle, r.Handle); !ok || got != r {
					t.Errorf("table %s rule %d: %v, %v", tb.Name, r.Handle, got, ok)
				}
			}
		}
	}
	if _, ok := s.Rule(12345, 1); ok {
		t.Error("found a rule of a table that is not there")
	}
	if _, ok := s.Rule(s.Ruleset().Tables[0].Handle, 12345); ok {
		t.Error("found a rule that is not there")
	}
	if _, ok := s.Chain(12345, 1); ok {
		t.Error("found a chain of a table that is not there")
	}
}

func TestReachability(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, `
table inet t {
	map named { type inet_service : verdict; flags interval; elements = { 10-20 : jump by_map }
	}
	chain unreached {
		jump deeper
	}
	chain deeper {
		drop
	}
	chain far {
		drop
	}
	chain near {
		tcp dport 1 goto far
	}
	chain by_map {
		drop
	}
	chain by_anonymous_map {
		drop
	}
	chain only_output {
		drop
	}
	chain in {
		type filter hook input priority 0; policy accept;
		jump near
		tcp dport vmap @named
		tcp dport vmap { 5 : goto by_anonymous_map }
		tcp dport 6 jump {
			drop
		}
	}
	chain out {
		type filter hook output priority 0; policy accept;
		jump only_output
		jump far
	}
}`)
	s := ns.read(t)
	want := map[string]string{
		"unreached": "", "deeper": "", "near": "in", "far": "in out", "by_map": "in",
		"by_anonymous_map": "in", "only_output": "out", "in": "in", "out": "out", "{ … }": "in",
	}
	got := make(map[string]string)
	for _, c := range s.Ruleset().Tables[0].Chains {
		name := c.Name
		if strings.HasPrefix(name, "__chain") {
			name = "{ … }"
		}
		var bases []string
		for _, b := range s.Bases(c) {
			bases = append(bases, b.Name)
		}
		got[name] = strings.Join(bases, " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("base chains by chain (-want +got):\n%s", diff)
	}
}

// Where a verdict map could not be read, a packet may come to any chain, and
// the rule may drop.
func TestVerdictsOfThisKernelsLack(t *testing.T) {
	ip := uint8(unix.NFPROTO_IPV4)
	k := &fakeKernel{objects: map[uint16][]object{
		unix.NFT_MSG_GETTABLE: {{ip, tableBytes("t", 1)}},
		unix.NFT_MSG_GETCHAIN: {{ip, baseBytes("t", "in", 1, 1, -5, nfDrop)}},
		unix.NFT_MSG_GETRULE:  {{ip, ruleBytes("t", "in", 2, expression("counter"), expression("queue"))}},
	}}
	got := k.snapshot(t).Ruleset()
	table := &ruleset.Table{Engine: ruleset.NFTables, Family: "ip", Name: "t", Handle: 1}
	chain := &ruleset.Chain{Table: table, Name: "in", Handle: 1, Hook: "input", Type: "filter", Priority: -5, Policy: "drop"}
	chain.Rules = []*ruleset.Rule{{Chain: chain, Handle: 2, Number: 1, CanDrop: true, Queues: true}}
	table.Chains = []*ruleset.Chain{chain}
	want := &ruleset.Ruleset{Generation: 1, Tables: []*ruleset.Table{table}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ruleset (-want +got):\n%s", diff)
	}
}

func TestHookAt(t *testing.T) {
	for _, test := range []struct {
		pf   uint8
		hook uint32
		want Hook
	}{
		{unix.NFPROTO_IPV4, 0, Hook{"ip", "prerouting", "v0"}},
		{unix.NFPROTO_IPV6, 4, Hook{"ip6", "postrouting", "v0"}},
		{unix.NFPROTO_ARP, 1, Hook{"arp", "output", "v0"}},
		{unix.NFPROTO_BRIDGE, 2, Hook{"bridge", "forward", "v0"}},
		{unix.NFPROTO_NETDEV, 1, Hook{"netdev", "egress", "v0"}},
		// nft_do_chain_inet_ingress says ip and 5.
		{unix.NFPROTO_IPV4, 5, Hook{"ip", "ingress", "v0"}},
		{99, 9, Hook{"family 99", "hook 9", "v0"}},
	} {
		if got := HookAt(test.pf, test.hook, "v0"); got != test.want {
			t.Errorf("HookAt(%d, %d) = %v, want %v", test.pf, test.hook, got, test.want)
		}
	}
}
