package nftables

import (
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestReadTellsWhatRulesCanDo(t *testing.T) {
	ns := everythingNamespace(t)
	s := ns.read(t)
	// By text, because that is what a reader can judge.
	can := map[string]string{
		`counter drop comment "not # handle 3"`:                                 "drop",
		"tcp dport vmap { 1 : accept, 2 : drop, 3 : jump user, 4 : goto gone }": "drop",
		"tcp dport vmap { 1 : accept, 3 : jump anonymous_map }":                 "",
		"tcp dport vmap @vm":      "drop",
		"tcp dport vmap @passing": "",
		"ip saddr @plain counter reject with icmp admin-prohibited": "drop reject",
		"tcp dport 33 reject with tcp reset":                        "drop reject",
		"ip saddr @limited accept":                                  "drop", // an element has ct count
		"ip saddr @plain accept":                                    "",
		"ip saddr @ranges accept":                                   "",
		"ip saddr { 10.0.0.0/8, 11.0.0.1 } accept":                  "",
		"update @limited { ip saddr ct count over 20 } counter":     "drop",
		`log prefix "{ odd" limit rate 3/second accept`:             "",
		"meta mark set ip saddr map @marks ct mark set meta mark":   "",
		`counter name "seen" limit name "slow" accept`:              "",
		"quota over 500 bytes drop":                                 "drop",
		"ct state established,related accept":                       "",
		"ct zone set 3":                                             "drop",
		`counter comment "only a comment"`:                          "",
		"continue":                                                  "",
		"return":                                                    "",
		"goto gone":                                                 "",
		"masquerade":                                                "drop",
		"snat to 1.2.3.4":                                           "drop",
		"meta l4proto tcp synproxy":                                 "drop",
		"fib daddr type local accept":                               "",
		"reject with icmpx admin-prohibited":                        "drop reject",
		`fwd to "v1"`:                                               "drop",
		"ether type arp drop":                                       "drop",
		"arp operation request drop":                                "drop",
		"ip saddr 1.2.3.4 accept":                                   "", // in { … }
	}
	seen := make(map[string]bool)
	for _, tb := range s.Ruleset().Tables {
		for _, c := range tb.Chains {
			texts, err := s.Texts(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range c.Rules {
				want, ok := can[texts[i]]
				if !ok {
					continue
				}
				seen[texts[i]] = true
				if got := describe(r); got != want {
					t.Errorf("%s %s: %q can %q, want %q", tb.Family, c.Name, texts[i], got, want)
				}
			}
		}
	}
	for text := range can {
		if !seen[text] {
			t.Errorf("no rule reads %q", text)
		}
	}
}

func describe(r *ruleset.Rule) string {
	var can []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"drop", r.CanDrop}, {"reject", r.Rejects}, {"queue", r.Queues}} {
		if f.set {
			can = append(can, f.name)
		}
	}
	return strings.Join(can, " ")
}
