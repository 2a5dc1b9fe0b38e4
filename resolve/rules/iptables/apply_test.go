package iptables

import (
	"errors"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const applyFile = `*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:mine - [0:0]
:empty - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment ssh -j mine
-A INPUT -p icmp -m icmp --icmp-type 8 -j REJECT --reject-with icmp-port-unreachable
-A INPUT -m mark --mark 0x5 -j LOG --log-prefix "a b"
-A mine -j MARK --set-xmark 0x5/0xffffffff
COMMIT
`

func parseText(t testing.TB, text string) *ruleset.Ruleset {
	t.Helper()
	rs, err := Parse(strings.NewReader(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// list writes tables as iptables-save would, without counters.
func list(rs *ruleset.Ruleset) string {
	var b strings.Builder
	for _, t := range rs.Tables {
		b.WriteString("*" + t.Name + "\n")
		for _, c := range t.Chains {
			policy := strings.ToUpper(c.Policy)
			if policy == "" {
				policy = "-"
			}
			b.WriteString(":" + c.Name + " " + policy + " [0:0]\n")
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				b.WriteString(r.Text + "\n")
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

func TestCommandsChangeACopy(t *testing.T) {
	// Each command turns these lines of applyFile into others.
	for _, tt := range []struct{ command, old, changed string }{
		{"iptables -A INPUT -s 10.0.0.0/8 -j ACCEPT", "-A mine", "-A INPUT -s 10.0.0.0/8 -j ACCEPT\n-A mine"},
		{"iptables -I INPUT -p tcp --dport 80 -j ACCEPT", "-A INPUT -i lo",
			"-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n-A INPUT -i lo"},
		{"sudo /usr/sbin/iptables -w 5 -I INPUT 2 -j mine", "-A INPUT -p tcp", "-A INPUT -j mine\n-A INPUT -p tcp"},
		{"iptables -t filter -I mine -s 1.1.1.1,2.2.2.2 -j DROP", "-A mine",
			"-A mine -s 1.1.1.1 -j DROP\n-A mine -s 2.2.2.2 -j DROP\n-A mine"},
		{"iptables -D INPUT 1", "-A INPUT -i lo -j ACCEPT\n", ""},
		{"iptables -D INPUT -i lo -j ACCEPT", "-A INPUT -i lo -j ACCEPT\n", ""},
		{"iptables -D INPUT -p icmp --icmp-type echo-request -j REJECT",
			"-A INPUT -p icmp -m icmp --icmp-type 8 -j REJECT --reject-with icmp-port-unreachable\n", ""},
		{"iptables -D INPUT -m mark --mark 5 -j LOG --log-prefix 'a b'",
			"-A INPUT -m mark --mark 0x5 -j LOG --log-prefix \"a b\"\n", ""},
		{"iptables -D INPUT -p tcp --dport ssh -m comment --comment ssh -j mine",
			"-A INPUT -p tcp -m tcp --dport 22 -m comment --comment ssh -j mine\n", ""},
		{"iptables -D mine -j MARK --set-mark 5", "-A mine -j MARK --set-xmark 0x5/0xffffffff\n", ""},
		{"iptables -R INPUT 1 -i eth0 -j DROP", "-A INPUT -i lo -j ACCEPT", "-A INPUT -i eth0 -j DROP"},
		{"iptables -P INPUT ACCEPT", ":INPUT DROP", ":INPUT ACCEPT"},
		{"iptables -N another", ":empty - [0:0]\n", ":empty - [0:0]\n:another - [0:0]\n"},
		{"iptables -X empty", ":empty - [0:0]\n", ""},
		{"iptables -F mine", "-A mine -j MARK --set-xmark 0x5/0xffffffff\n", ""},
		{"iptables -E empty full", ":empty", ":full"},
		{`iptables -A mine -m comment --comment "-A \"INPUT\"" -j DROP`, "0xffffffff\n",
			"0xffffffff\n-A mine -m comment --comment \"-A \\\"INPUT\\\"\" -j DROP\n"},
		{"iptables-nft -A OUTPUT -d 10.0.0.1 ! -p tcp -j DROP", "-A mine",
			"-A OUTPUT -d 10.0.0.1 ! -p tcp -j DROP\n-A mine"},
	} {
		rs := parseText(t, applyFile)
		changed, err := Apply(rs, tt.command, Options{})
		if err != nil {
			t.Errorf("%s: %v", tt.command, err)
			continue
		}
		if got, want := list(changed), strings.Replace(applyFile, tt.old, tt.changed, 1); got != want {
			t.Errorf("%s: got\n%swant\n%s", tt.command, got, want)
		}
		if list(rs) != applyFile {
			t.Errorf("%s changed the ruleset itself", tt.command)
		}
		checkWhole(t, tt.command, changed.Tables[0])
	}
}

// checkWhole makes sure that a table's parts are its own.
func checkWhole(t *testing.T, command string, table *ruleset.Table) {
	t.Helper()
	for _, c := range table.Chains {
		if c.Table != table {
			t.Errorf("%s: chain %q is another table's", command, c.Name)
		}
		for i, r := range c.Rules {
			if r.Chain != c || r.Number != i+1 {
				t.Errorf("%s: rule %d of %q has number %d", command, i+1, c.Name, r.Number)
			}
			for _, s := range r.Statements {
				if v, ok := s.(*ruleset.Verdict); ok && v.Target != nil && v.Target.Table != table {
					t.Errorf("%s: rule %d of %q jumps out of the table", command, i+1, c.Name)
				}
			}
		}
	}
}

func TestCommandsMakeTables(t *testing.T) {
	changed, err := Apply(parseText(t, applyFile), "ip6tables -t nat -A PREROUTING -j REDIRECT --to-ports 80", Options{})
	if err != nil {
		t.Fatal(err)
	}
	made := changed.Tables[1]
	if made.Family != "ip6" || made.Name != "nat" || len(made.Chains) != 4 || len(made.Chains[0].Rules) != 1 {
		t.Errorf("made %+v", made)
	}
}

func TestCommandsThatIPTablesRefuses(t *testing.T) {
	for _, tt := range []struct {
		command string
		want    error
	}{
		{"nft add rule ip filter INPUT drop", ErrSyntax},
		{"iptables", ErrSyntax},
		{"iptables -L", ErrSyntax},
		{"iptables -A", ErrSyntax},
		{"iptables -A INPUT -D INPUT", ErrSyntax},
		{"iptables -A nowhere -j DROP", ErrNoChain},
		{"iptables -A INPUT -j nowhere", ErrNoChain},
		{"iptables -t nonesuch -A INPUT", ErrNoTable},
		{"iptables -D INPUT 9", ErrNoRule},
		{"iptables -D INPUT -j DROP", ErrNoRule},
		{"iptables -D INPUT -m mark --mark 5 -j LOG", ErrNoRule},
		{"iptables -I INPUT 9 -j DROP", ErrNoRule},
		{"iptables -I INPUT 0 -j DROP", ErrSyntax},
		{"iptables -R INPUT 1 -s 1.1.1.1,2.2.2.2 -j DROP", ErrSyntax},
		{"iptables -P mine DROP", ErrSyntax},
		{"iptables -P INPUT REJECT", ErrSyntax},
		{"iptables -N mine", ErrExists},
		{"iptables -X mine", ErrInUse},
		{"iptables -X INPUT", ErrSyntax},
		{"iptables -A INPUT -p tcp --dprot 80 -j DROP", ErrSyntax},
		{"iptables -A INPUT -s 2001:db8::1 -j DROP", ErrSyntax},
		{"iptables -A INPUT 'unclosed", ErrSyntax},
	} {
		rs := parseText(t, applyFile)
		if _, err := Apply(rs, tt.command, Options{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.command, err, tt.want)
		}
		if list(rs) != applyFile {
			t.Errorf("%s changed the ruleset", tt.command)
		}
	}
}

func TestPlainIPTablesMeansTheTablesThatAreThere(t *testing.T) {
	legacy, err := Parse(strings.NewReader(applyFile), Options{Engine: ruleset.IPTablesLegacy})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := Apply(legacy, "iptables -A INPUT -j DROP", Options{})
	if err != nil || len(changed.Tables) != 1 || changed.Tables[0].Engine != ruleset.IPTablesLegacy {
		t.Errorf("got %+v, %v", changed, err)
	}
	both := &ruleset.Ruleset{Tables: append(legacy.Tables, parseText(t, applyFile).Tables...)}
	if _, err := Apply(both, "iptables -A INPUT -j DROP", Options{}); !errors.Is(err, ErrSyntax) {
		t.Errorf("with both engines: %v", err)
	}
	if _, err := Apply(both, "iptables-legacy -A INPUT -j DROP", Options{}); err != nil {
		t.Error(err)
	}
}

func FuzzApply(f *testing.F) {
	for _, command := range []string{
		"iptables -A INPUT -p tcp --dport 80 -j ACCEPT", "iptables -D INPUT 1", "iptables -t nat -I POSTROUTING -j SNAT --to 1.1.1.1",
		"ip6tables -X", "iptables -E mine yours", "iptables -R INPUT 2 -s 1.1.1.1 -j mine",
	} {
		f.Add(command)
	}
	rs := parseText(f, applyFile)
	f.Fuzz(func(t *testing.T, command string) {
		changed, err := Apply(rs, command, Options{})
		if list(rs) != applyFile {
			t.Fatal("the ruleset itself changed")
		}
		if err == nil {
			for _, table := range changed.Tables {
				checkWhole(t, command, table)
			}
		}
	})
}
