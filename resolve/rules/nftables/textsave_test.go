package nftables

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTextOfIPTablesRules(t *testing.T) {
	ns := newNamespace(t)
	ns.iptables(t, `set -e
iptables-nft -N 'odd:chain'
iptables-nft -A INPUT -s 1.2.3.4 -j DROP
iptables-nft -A INPUT -p tcp --dport 80 -j REJECT --reject-with tcp-reset
iptables-nft -A INPUT -p tcp -m multiport --dports 1,2 -m comment --comment 'say "hi" \ # handle 7' -j 'odd:chain'
iptables-nft -A INPUT
iptables-nft -A INPUT -m conntrack --ctstate INVALID -j NFQUEUE --queue-num 3
iptables-nft -A 'odd:chain' -j LOG --log-prefix '} # handle 3'
iptables-nft -A 'odd:chain' -m limit --limit 3/s -j DROP
iptables-nft -t mangle -A FORWARD -p tcp --syn -j TCPMSS --clamp-mss-to-pmtu
ip6tables-nft -A FORWARD -s 2001:db8::/32 -j REJECT
arptables-nft -A INPUT -s 1.2.3.4 -j DROP
ebtables-nft -N guests -P DROP
ebtables-nft -A guests -p ARP -j ACCEPT
ebtables-nft -A FORWARD -p IPv4 --ip-src 1.2.3.4 -j guests
`)
	s := ns.read(t)
	before := s.Ruleset().Generation
	type chain struct{ family, table, name string }
	want := map[chain][]string{
		{"ip", "filter", "INPUT"}: {
			"-A INPUT -s 1.2.3.4/32 -j DROP",
			"-A INPUT -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset",
			`-A INPUT -p tcp -m multiport --dports 1,2 -m comment --comment "say \"hi\" \\ # handle 7" -j odd:chain`,
			"-A INPUT",
			"-A INPUT -m conntrack --ctstate INVALID -j NFQUEUE --queue-num 3",
		},
		{"ip", "filter", "odd:chain"}: {
			`-A odd:chain -j LOG --log-prefix "} # handle 3"`,
			"-A odd:chain -m limit --limit 3/sec -j DROP",
		},
		{"ip", "mangle", "FORWARD"}: {"-A FORWARD -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j TCPMSS --clamp-mss-to-pmtu"},
		{"ip6", "filter", "FORWARD"}: {
			"-A FORWARD -s 2001:db8::/32 -j REJECT --reject-with icmp6-port-unreachable",
		},
		{"arp", "filter", "INPUT"}:      {"-A INPUT -j DROP -s 1.2.3.4"},
		{"bridge", "filter", "guests"}:  {"-A guests -p ARP -j ACCEPT", "-P guests DROP"},
		{"bridge", "filter", "FORWARD"}: {"-A FORWARD -p IPv4 --ip-src 1.2.3.4 -j guests"},
	}
	for c, texts := range want {
		got, err := s.Texts(t.Context(), s.chainNamed(t, c.family, c.table, c.name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(texts, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c, diff)
		}
	}
	can := map[int]string{1: "drop", 2: "drop reject", 3: "drop", 4: "", 5: "drop queue"}
	for _, r := range s.chainNamed(t, "ip", "filter", "INPUT").Rules {
		if got := describe(r); got != can[r.Number] {
			t.Errorf("INPUT rule %d can %q, want %q", r.Number, got, can[r.Number])
		}
	}
	if r := s.chainNamed(t, "ip", "filter", "INPUT").Rules[2]; r.Comment != `say "hi" \ # handle 7` {
		t.Errorf("comment %q", r.Comment)
	}
	if after := ns.read(t).Ruleset().Generation; after != before {
		t.Errorf("looking changed the ruleset: generation %d, then %d", before, after)
	}
}

func TestTextOfIPTablesRulesFromNFT(t *testing.T) {
	ns := newNamespace(t)
	ns.iptables(t, "iptables-nft -N odd:chain && iptables-nft -A INPUT -s 1.2.3.4 -j DROP && iptables-nft -A odd:chain -j DROP")
	s := ns.read(t)
	dir := t.TempDir()
	if err := os.Symlink("/usr/sbin/nft", filepath.Join(dir, "nft")); err != nil {
		t.Fatal(err)
	}
	s.texts.Dirs = []string{dir}
	for name, want := range map[string]string{"INPUT": "ip saddr 1.2.3.4 counter drop", "odd:chain": "counter drop"} {
		got, err := s.Texts(t.Context(), s.chainNamed(t, "ip", "filter", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTextAsksForTheVariant(t *testing.T) {
	for _, target := range []string{"xtables-nft-multi", "xtables-legacy-multi"} {
		t.Run(target, func(t *testing.T) {
			ns := newNamespace(t)
			ns.iptables(t, "iptables-nft -A INPUT -s 1.2.3.4 -j DROP")
			s := ns.read(t)
			dir := t.TempDir()
			if err := os.Symlink("/usr/sbin/"+target, filepath.Join(dir, "iptables-save")); err != nil {
				t.Fatal(err)
			}
			s.texts.Dirs = []string{dir}
			got, err := s.Texts(t.Context(), s.chainNamed(t, "ip", "filter", "INPUT"))
			if target == "xtables-legacy-multi" {
				if !errors.Is(err, ErrNoProgram) {
					t.Errorf("Texts: %q, %v; want ErrNoProgram", got, err)
				}
			} else if diff := cmp.Diff([]string{"-A INPUT -s 1.2.3.4/32 -j DROP"}, got); diff != "" {
				t.Errorf("texts, error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}
