package nftables

import (
	"errors"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// hostile makes a table t with a chain of that name and two rules, the first
// with that comment, as only netlink can.
func (n *testNamespace) hostile(t *testing.T, table, chain, comment string) {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(int(n.FD())))
	if err != nil {
		t.Fatal(err)
	}
	tb := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: table})
	c := conn.AddChain(&nftables.Chain{Table: tb, Name: chain})
	userdata := append([]byte{userdataComment, byte(len(comment) + 1)}, comment+"\x00"...)
	conn.AddRule(&nftables.Rule{Table: tb, Chain: c, UserData: userdata, Exprs: []expr.Any{&expr.Counter{}}})
	conn.AddRule(&nftables.Rule{Table: tb, Chain: c, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

// Whoever may write a ruleset may call a table or chain what they like: a
// program that is run with that name must not take it for commands, and one
// that prints it must not be misread.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{
		"c; delete table ip victim",
		"c\ndelete table ip victim",
		"drop", "a b", `"q"`, "-f", "{", "}", "c {", "*", "#",
		"c # handle 1", "c { # handle 1",
		"c {\n\t\taccept # handle 2\n\t\taccept # handle 3\n\t}\n\tchain d",
		"__chain0",
	} {
		for _, names := range [][2]string{{name, "c"}, {"t", name}} {
			ns := newNamespace(t)
			ns.nft(t, "table ip victim {\n chain c {\n accept\n }\n}\n")
			ns.hostile(t, names[0], names[1], "hello")
			s := ns.read(t)
			for _, tb := range s.Ruleset().Tables {
				texts, err := s.Texts(t.Context(), tb.Chains[0])
				want := []string{`counter comment "hello"`, "drop"}
				if tb.Name == "victim" {
					want = []string{"accept"}
				}
				// The innocent must come through; of the other there may be no
				// text, but no wrong one.
				if err != nil && (tb.Name == "victim" || !errors.Is(err, errListing)) {
					t.Errorf("table %q chain %q: %v", tb.Name, tb.Chains[0].Name, err)
				}
				for i := range texts {
					if texts[i] != want[i] {
						t.Errorf("table %q chain %q rule %d: %q, want %q", tb.Name, tb.Chains[0].Name, i+1, texts[i], want[i])
					}
				}
				t.Logf("table %q chain %q: %q %v", tb.Name, tb.Chains[0].Name, texts, err)
			}
			if after, err := Generation(t.Context(), ns); err != nil || after != s.Ruleset().Generation {
				t.Errorf("looking changed the ruleset: generation %d, then %d (%v)", s.Ruleset().Generation, after, err)
			}
		}
	}
}

// A comment can hold a line break and with it whole rules.
func TestHostileComments(t *testing.T) {
	for _, comment := range []string{
		"\"\n\t\taccept # handle 3",
		"\" # handle 2\n\t\taccept # handle 3\n\t}\n}\ntable ip x {\n\tchain d {\n\t\taccept \"",
		"\" # handle 2\n\t\taccept # handle 3\n\t}\n\tset s {\n\t\taccept \"",
		"\" jump {",
		"\" {\n",
	} {
		ns := newNamespace(t)
		ns.hostile(t, "t", "c", comment)
		s := ns.read(t)
		c := s.chainNamed(t, "ip", "t", "c")
		texts, err := s.Texts(t.Context(), c)
		if err != nil && !errors.Is(err, errListing) {
			t.Errorf("comment %q: %v", comment, err)
		}
		if err == nil && texts[1] != "drop" {
			t.Errorf("comment %q: forged %q", comment, texts)
		}
		if c.Rules[0].Comment != comment {
			t.Errorf("comment %q, want %q", c.Rules[0].Comment, comment)
		}
		t.Logf("%q %v", texts, err)
	}
}
