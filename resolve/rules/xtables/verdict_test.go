package xtables

import (
	"testing"
)

func TestWhatRulesCanDo(t *testing.T) {
	n := newNamespace(t)
	for _, tt := range []struct {
		table, rule                                 string
		canDrop, rejects, queues, drops, mayHotdrop bool
	}{
		{"filter", "-A INPUT -j DROP", true, false, false, true, false},
		{"filter", "-A INPUT -j ACCEPT", false, false, false, false, false},
		{"filter", "-A INPUT -j RETURN", false, false, false, false, false},
		{"filter", "-A INPUT", false, false, false, false, false},
		{"filter", "-A INPUT -j user", false, false, false, false, false},
		{"filter", "-A INPUT -g user", false, false, false, false, false},
		{"filter", "-A INPUT -j REJECT", true, true, false, true, false},
		{"filter", "-A INPUT -j QUEUE", true, false, true, false, false},
		{"filter", "-A INPUT -j NFQUEUE --queue-num 1", true, false, true, false, false},
		{"filter", "-A INPUT -j LOG", false, false, false, false, false},
		{"filter", "-A INPUT -j NFLOG", false, false, false, false, false},
		{"filter", "-A INPUT -p tcp -j ACCEPT", false, false, false, false, false},
		{"filter", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", true, false, false, false, true},
		{"filter", "-A INPUT -p tcp -m tcp --dport 80 -j DROP", true, false, false, true, true},
		{"filter", "-A INPUT -p tcp -m multiport --dports 80,81 -j ACCEPT", true, false, false, false, true},
		{"filter", "-A INPUT -m connlimit --connlimit-above 1 -j ACCEPT", true, false, false, false, true},
		{"filter", "-A INPUT -m conntrack --ctstate NEW -m limit --limit 1/sec -j ACCEPT", false, false, false, false, false},
		{"filter", "-A INPUT -p tcp -m tcp --syn -j SYNPROXY", true, false, false, false, true},
		{"mangle", "-A INPUT -j MARK --set-mark 1", false, false, false, false, false},
		{"mangle", "-A FORWARD -p tcp -m tcp --syn -j TCPMSS --set-mss 1000", true, false, false, false, true},
		{"mangle", "-A FORWARD -j TTL --ttl-set 9", true, false, false, false, false},
		{"mangle", "-A FORWARD -j DSCP --set-dscp 1", true, false, false, false, false},
		{"mangle", "-A FORWARD -j TOS --set-tos 1", true, false, false, false, false},
		{"raw", "-A OUTPUT -j CT --notrack", false, false, false, false, false},
		{"raw", "-A OUTPUT -j TRACE", false, false, false, false, false},
		{"nat", "-A POSTROUTING -j MASQUERADE", true, false, false, false, false},
		{"nat", "-A POSTROUTING -j SNAT --to-source 192.0.2.1", true, false, false, false, false},
	} {
		n.load(t, "ip", "*"+tt.table+"\n:user - [0:0]\n"+tt.rule+"\nCOMMIT\n")
		e := ruleEntry(t, n.read(t, "ip", tt.table))
		r := e.Rule
		if r.CanDrop != tt.canDrop || r.Rejects != tt.rejects || r.Queues != tt.queues ||
			e.Drops() != tt.drops || e.MayHotdrop != tt.mayHotdrop {
			t.Errorf("%s: can drop %v, rejects %v, queues %v, drops %v, hotdrop %v",
				tt.rule, r.CanDrop, r.Rejects, r.Queues, e.Drops(), e.MayHotdrop)
		}
	}
	// ip6 drops where the header of -p cannot be found, without any match.
	n.load(t, "ip6", "*filter\n-A INPUT -p tcp -j ACCEPT\nCOMMIT\n")
	if e := ruleEntry(t, n.read(t, "ip6", "filter")); !e.Rule.CanDrop || !e.MayHotdrop {
		t.Errorf("ip6 -p tcp: can drop %v, hotdrop %v", e.Rule.CanDrop, e.MayHotdrop)
	}
	n.load(t, "ip6", "*filter\n-A INPUT -s 2001:db8::1 -j ACCEPT\nCOMMIT\n")
	if e := ruleEntry(t, n.read(t, "ip6", "filter")); e.Rule.CanDrop || e.MayHotdrop {
		t.Errorf("ip6 -s: can drop %v, hotdrop %v", e.Rule.CanDrop, e.MayHotdrop)
	}
}

// ruleEntry is the only rule's.
func ruleEntry(t *testing.T, b *Blob) *Entry {
	t.Helper()
	var found *Entry
	for i := range b.Entries {
		if b.Entries[i].Rule != nil {
			if found != nil {
				t.Fatal("more than one rule")
			}
			found = &b.Entries[i]
		}
	}
	if found == nil {
		t.Fatal("no rule")
	}
	return found
}
