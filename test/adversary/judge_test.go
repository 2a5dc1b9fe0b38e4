package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestOnlyCertainAnswersOfOtherRulesAreWrong(t *testing.T) {
	for _, tt := range []struct {
		name, json      string
		compared, wrong uint64
	}{
		{"its rule", `{"packet":{"protocol":"udp","destination_port":6001},"cause":"rule","rule":{"text":"udp dport 6001 drop"},"attribution":{"certainty":"certain"}}`, 1, 0},
		{"another rule", `{"packet":{"protocol":"udp","destination_port":6001},"cause":"rule","rule":{"text":"udp dport 6002 drop"},"attribution":{"certainty":"certain"}}`, 1, 1},
		{"another rule, three times", `{"repeats":2,"packet":{"protocol":"udp","destination_port":6001},"cause":"rule","rule":{"text":"udp dport 6002 drop"},"attribution":{"certainty":"certain"}}`, 3, 3},
		{"another rule, probably", `{"packet":{"protocol":"udp","destination_port":6001},"cause":"rule","rule":{"text":"udp dport 6002 drop"},"attribution":{"certainty":"probable"}}`, 1, 0},
		{"the policy", `{"packet":{"protocol":"udp","destination_port":7015},"cause":"policy","rule":{"chain":"OUTPUT"},"attribution":{"certainty":"certain"}}`, 1, 0},
		{"the policy instead of a rule", `{"packet":{"protocol":"udp","destination_port":7014},"cause":"policy","rule":{"chain":"OUTPUT"},"attribution":{"certainty":"certain"}}`, 1, 1},
		{"a rule instead of the policy", `{"packet":{"protocol":"udp","destination_port":7015},"cause":"rule","rule":{"text":"udp dport 7014 drop"},"attribution":{"certainty":"certain"}}`, 1, 1},
		{"no rule", `{"packet":{"protocol":"udp","destination_port":6001},"cause":"rule","attribution":{"certainty":"unknown"}}`, 1, 0},
		{"another packet", `{"packet":{"protocol":"udp","destination_port":53},"cause":"rule","rule":{"text":"udp dport 6002 drop"},"attribution":{"certainty":"certain"}}`, 0, 0},
	} {
		var r record
		if err := json.Unmarshal([]byte(tt.json), &r); err != nil {
			t.Fatal(err)
		}
		r.Type = "drop"
		j := judge{out: io.Discard}
		j.judge("nft", &r)
		if j.compared != tt.compared || j.wrong != tt.wrong {
			t.Errorf("%s: %d compared, %d wrong", tt.name, j.compared, j.wrong)
		}
	}
}

func TestEachPortIsDroppedByOneRuleOrThePolicy(t *testing.T) {
	for _, rules := range []string{nftRules(), iptablesRules()} {
		for _, p := range paths() {
			for i := range ports {
				n := strings.Count(rules, fmt.Sprintf(" %d ", p.first+i))
				if want := min(1, ports-1-i); n != want {
					t.Errorf("%d rules for port %d in\n%s", n, p.first+i, rules)
				}
			}
		}
	}
}
