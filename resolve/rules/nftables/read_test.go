package nftables

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// everything has each family, each way to another chain, and each kind of set.
const everything = `
table ip t {
	comment "of the table"
	set limited {
		type ipv4_addr; flags dynamic; size 100
		elements = { 1.1.1.1 ct count over 3, 2.2.2.2 }
	}
	set plain { type ipv4_addr; elements = { 1.1.1.1, 3.3.3.3 }
	}
	set ranges { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }
	}
	map vm { type inet_service : verdict; elements = { 22 : accept, 80 : jump mapped, 81 : drop }
	}
	map passing { type inet_service : verdict; elements = { 22 : accept, 80 : goto mapped }
	}
	map marks { type ipv4_addr : mark; elements = { 1.1.1.1 : 0x1 }
	}
	counter seen {
	}
	limit slow { rate 5/second
	}
	chain user {
		counter drop comment "not # handle 3"
	}
	chain gone {
		return
	}
	chain mapped {
		ip saddr 9.9.9.9 drop
	}
	chain unreached {
		drop
	}
	chain anonymous_map {
		reject
	}
	chain input {
		type filter hook input priority 0; policy drop;
		tcp dport vmap { 1 : accept, 2 : drop, 3 : jump user, 4 : goto gone }
		tcp dport vmap { 1 : accept, 3 : jump anonymous_map }
		tcp dport vmap @vm
		tcp dport vmap @passing
		ip saddr { 1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4, 1.1.1.5, 1.1.1.6, 1.1.1.7, 1.1.1.8, 1.1.1.9, 1.1.1.10, 1.1.1.11 } counter drop comment "several $ 'lines'"
		ip saddr @plain counter reject with icmp type admin-prohibited
		tcp dport 33 reject with tcp reset
		ip saddr @limited accept
		ip saddr @plain accept
		ip saddr @ranges accept
		ip saddr { 10.0.0.0/8, 11.0.0.1 } accept
		update @limited { ip saddr ct count over 20 } counter
		tcp dport 22 jump {
			ip saddr 1.2.3.4 accept
			ip saddr { 1.2.3.5, 1.2.3.6 } counter drop comment "inside }"
		}
		log prefix "{ odd" limit rate 3/second accept
		meta mark set ip saddr map @marks ct mark set meta mark
		counter name seen limit name slow accept
		quota over 500 bytes drop
		ct state established,related accept
		ct zone set 3
		counter comment "only a comment"
		continue
	}
	chain output {
		type route hook output priority mangle; policy accept;
		goto gone
	}
	chain nats {
		type nat hook postrouting priority srcnat; policy accept;
		masquerade
		snat to 1.2.3.4
	}
}
table ip6 t {
	chain forward {
		type filter hook forward priority 10; policy accept;
		ip6 saddr ::1 counter packets 17 bytes 1700 drop
	}
}
table inet i {
	chain every {
		type filter hook input priority -10; policy drop;
		meta l4proto tcp synproxy
		fib daddr type local accept
		reject with icmpx admin-prohibited
		iifname "veth-*" accept
	}
	chain early {
		type filter hook ingress device "v0" priority -5; policy drop;
		drop
	}
	chain a-b/c.d {
		comment "of the chain"
		accept
	}
}
table netdev n {
	chain both {
		type filter hook ingress devices = { v0, v1 } priority 5; policy accept;
		ip saddr 1.1.1.1 drop
		fwd to "v1"
	}
	chain one {
		type filter hook ingress device "v1" priority 6; policy drop;
		accept
	}
}
table bridge b {
	chain pre {
		type filter hook prerouting priority -300; policy accept;
		ether type arp drop
	}
}
table arp a {
	chain in {
		type filter hook input priority 0; policy accept;
		arp operation request drop
	}
	chain out {
		type filter hook output priority 0; policy accept;
	}
}
table ip asleep {
	flags dormant
	chain input {
		type filter hook input priority 0; policy drop;
		drop
	}
}
`

func everythingNamespace(t testing.TB) *testNamespace {
	t.Helper()
	ns := newNamespace(t)
	ns.Run(t, "", "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
	ns.nft(t, everything)
	return ns
}

// nftObject is what `nft -j` says of a table, chain or rule.
type nftObject struct {
	Family, Table, Chain, Name, Type, Hook, Policy, Comment string

	Handle   uint64
	Priority int32 `json:"prio"`
}

func (n *testNamespace) listJSON(t *testing.T) []map[string]nftObject {
	t.Helper()
	var all struct{ Nftables []json.RawMessage }
	out := n.Run(t, "", "nft", "-a", "-j", "list", "ruleset")
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	var objects []map[string]nftObject
	for _, raw := range all.Nftables {
		// Objects of other kinds have fields of other types.
		var kinds map[string]json.RawMessage
		if err := json.Unmarshal(raw, &kinds); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"table", "chain", "rule"} {
			if b, ok := kinds[kind]; ok {
				var o nftObject
				if err := json.Unmarshal(b, &o); err != nil {
					t.Fatal(err)
				}
				objects = append(objects, map[string]nftObject{kind: o})
			}
		}
	}
	return objects
}

// fromJSON builds the model from nft's own JSON, which knows everything but
// what a rule can do. It leaves bound chains out, whose rules nft hides.
func fromJSON(t *testing.T, objects []map[string]nftObject) []*ruleset.Table {
	var tables []*ruleset.Table
	table := func(family, name string) *ruleset.Table {
		i := slices.IndexFunc(tables, func(t *ruleset.Table) bool { return t.Family == family && t.Name == name })
		return tables[i]
	}
	for _, o := range objects {
		if o, ok := o["table"]; ok {
			tables = append(tables, &ruleset.Table{Engine: ruleset.NFTables, Family: o.Family, Name: o.Name, Handle: o.Handle})
		}
		if o, ok := o["chain"]; ok {
			tb := table(o.Family, o.Table)
			tb.Chains = append(tb.Chains, &ruleset.Chain{
				Table: tb, Name: o.Name, Handle: o.Handle, Hook: o.Hook, Type: o.Type,
				Priority: o.Priority, Policy: o.Policy,
			})
		}
		if o, ok := o["rule"]; ok {
			tb := table(o.Family, o.Table)
			i := slices.IndexFunc(tb.Chains, func(c *ruleset.Chain) bool { return c.Name == o.Chain })
			c := tb.Chains[i]
			c.Rules = append(c.Rules, &ruleset.Rule{
				Chain: c, Handle: o.Handle, Number: len(c.Rules) + 1, Comment: o.Comment,
			})
		}
	}
	return tables
}

func TestReadAgreesWithNFT(t *testing.T) {
	ns := everythingNamespace(t)
	want := fromJSON(t, ns.listJSON(t))
	want = slices.DeleteFunc(want, func(t *ruleset.Table) bool { return t.Name == "asleep" })

	var got []*ruleset.Table
	for _, tb := range ns.read(t).Ruleset().Tables {
		plain := *tb
		plain.Chains = nil
		for _, c := range tb.Chains {
			if strings.HasPrefix(c.Name, "__chain") {
				continue
			}
			copied := *c
			copied.Table = &plain
			copied.Rules = nil
			copied.Devices = nil // nft 1.0.6 leaves them out
			for _, r := range c.Rules {
				// nft knows nothing of these.
				copied.Rules = append(copied.Rules, &ruleset.Rule{
					Chain: &copied, Handle: r.Handle, Number: r.Number, Comment: r.Comment,
				})
			}
			plain.Chains = append(plain.Chains, &copied)
		}
		got = append(got, &plain)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nft (-) and Read (+) differ:\n%s", diff)
	}
}

func TestReadDevices(t *testing.T) {
	s := everythingNamespace(t).read(t)
	got := make(map[string][]string)
	for _, tb := range s.Ruleset().Tables {
		for _, c := range tb.Chains {
			if c.Devices != nil {
				got[c.Name] = c.Devices
			}
		}
	}
	want := map[string][]string{"early": {"v0"}, "both": {"v0", "v1"}, "one": {"v1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}
