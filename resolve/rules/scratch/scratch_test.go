package scratch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/test/nstest"
)

func TestMain(m *testing.M) {
	if os.Getenv("SCRATCH_TEST_USER") != "" {
		os.Exit(asUser())
	}
	goleak.VerifyTestMain(m)
}

func newScratch(t *testing.T) *Namespace {
	t.Helper()
	nstest.SkipUnprivileged(t)
	n, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// rules are the statements' texts, a rule a line.
func rules(t *testing.T, n *Namespace) string {
	t.Helper()
	model, err := nftables.ReadModel(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, tb := range model.Tables {
		for _, c := range tb.Chains {
			for _, r := range c.Rules {
				for _, s := range r.Statements {
					switch s := s.(type) {
					case *ruleset.Match:
						b.WriteString(s.Text + " ")
					case *ruleset.Verdict:
						b.WriteString(s.Text)
					case *ruleset.Opaque:
						b.WriteString(s.Text + " ")
					}
				}
				b.WriteString("\n")
			}
		}
	}
	return b.String()
}

const saved = `table inet f {
	chain in {
		type filter hook input priority filter; policy drop;
		iifname "eth7" tcp dport 22 accept
		iif "eth8" drop
	}
}
`

func TestLoadAndChange(t *testing.T) {
	n := newScratch(t)
	if err := n.LoadNFT(t.Context(), saved); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Run(t.Context(), []string{"nft", "insert", "rule", "inet", "f", "in", "tcp dport 80 accept"}); err != nil {
		t.Fatal(err)
	}
	devices, err := n.Devices()
	if err != nil {
		t.Fatal(err)
	}
	index := ""
	for i, name := range devices {
		if name == "eth8" {
			index = "iif " + string(rune('0'+i))
		}
	}
	want := "meta l4proto tcp tcp dport 80 accept\n" +
		"iifname \"eth7\" meta l4proto tcp tcp dport 22 accept\n" +
		index + " drop\n"
	if got := rules(t, n); index == "" || got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestLoadIPTables(t *testing.T) {
	n := newScratch(t)
	for _, family := range []string{"ip", "ip6"} {
		err := n.LoadIPTables(t.Context(), ruleset.IPTablesNFT, family, "*filter\n:INPUT DROP [0:0]\n-A INPUT -i eth9 -j ACCEPT\nCOMMIT\n")
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Run(t.Context(), []string{"iptables-nft", "-I", "INPUT", "1", "-i", "eth1", "-j", "DROP"}); err != nil {
		t.Fatal(err)
	}
	const want = "-i eth1 -j DROP\n-i eth9 -j ACCEPT\n-i eth9 -j ACCEPT\n"
	if got := rules(t, n); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestNonsenseIsRefusedWithItsLine(t *testing.T) {
	for _, test := range []struct {
		name string
		load func(n *Namespace) error
		line int
		said string
	}{
		{"nft syntax", func(n *Namespace) error {
			return n.LoadNFT(t.Context(), "table ip t {\n chain c {\n  tcp dprt 22 drop\n }\n}\n")
		}, 3, "syntax error"},
		{"nft chain that is not there", func(n *Namespace) error {
			return n.LoadNFT(t.Context(), "table ip t {\n chain c {\n  jump nowhere\n }\n}\n")
		}, 3, "No such file or directory"},
		{"iptables option", func(n *Namespace) error {
			return n.LoadIPTables(t.Context(), ruleset.IPTablesNFT, "ip", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT --nonsense\nCOMMIT\n")
		}, 3, "--nonsense"},
		{"iptables table", func(n *Namespace) error {
			return n.LoadIPTables(t.Context(), ruleset.IPTablesNFT, "ip", "*nonsense\nCOMMIT\n")
		}, 1, "nonsense"},
		{"iptables target", func(n *Namespace) error {
			return n.LoadIPTables(t.Context(), ruleset.IPTablesNFT, "ip", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j NOWHERE\nCOMMIT\n")
		}, 4, "NOWHERE"},
		{"bytes", func(n *Namespace) error { return n.LoadNFT(t.Context(), "\n\x00\xff\x80") }, 2, "NUL"},
		{"command", func(n *Namespace) error {
			_, err := n.Run(t.Context(), []string{"iptables-nft", "-I", "INPUT", "--dport", "80", "-j", "ACCEPT"})
			return err
		}, 0, "dport"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.load(newScratch(t))
			var e *ProgramError
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if e.Line != test.line || !strings.Contains(e.Message, test.said) {
				t.Errorf("line %d: %q, want line %d with %q", e.Line, e.Message, test.line, test.said)
			}
		})
	}
}

func TestOtherProgramsAreNotRun(t *testing.T) {
	n := newScratch(t)
	for _, argv := range [][]string{nil, {"sh", "-c", "true"}, {"nft; true"}, {"/bin/sh"}} {
		if _, err := n.Run(t.Context(), argv); !errors.Is(err, ErrNotFirewall) {
			t.Errorf("%q: %v", argv, err)
		}
	}
}

func TestNothingReachesOurOwnNamespace(t *testing.T) {
	before, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	n := newScratch(t)
	if err := n.LoadNFT(t.Context(), saved); err != nil {
		t.Fatal(err)
	}
	var inside netns.Namespace
	if err := n.Do(func() (err error) { inside, err = netns.Current(); return err }); err != nil || inside.Inode == before.Inode {
		t.Fatalf("the scratch namespace is %v, our own %v: %v", inside, before, err)
	}
	if after, err := netns.Current(); err != nil || after.Inode != before.Inode {
		t.Errorf("we are in %v now, were in %v: %v", after, before, err)
	}
	if _, err := os.Stat("/sys/class/net/eth7"); err == nil {
		t.Error("eth7 was made outside")
	}
}

func TestIndexesBecomeNames(t *testing.T) {
	n := newScratch(t)
	err := n.LoadNFT(t.Context(), `table inet f {
	chain in {
		type filter hook input priority filter; policy drop;
		iif "eth8" drop
		iif != "eth8" drop
		iif { "lo", "eth9" } drop
		iif . tcp dport { "lo" . 22 } drop
		iif vmap { "eth8" : drop }
		iif > 1 drop
	}
	chain dev {
		type filter hook ingress device "eth0" priority 0; policy accept;
		drop
	}
}
`)
	if err != nil {
		t.Fatal(err)
	}
	model, err := n.ReadNFT(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range model.Tables[0].Chains[0].Rules {
		for _, s := range r.Statements {
			switch s := s.(type) {
			case *ruleset.Match:
				list := s.Ranges
				if s.Set != nil {
					for _, e := range s.Set.Elements {
						list = append(list, e.Range)
					}
				}
				got = append(got, fmt.Sprintf("%v %q %v", s.Fields, s.Text, names(list)))
			case *ruleset.VerdictMap:
				got = append(got, fmt.Sprintf("%v %v", s.Fields, names([]ruleset.Range{s.Set.Elements[0].Range})))
			}
		}
	}
	want := []string{
		`[iifname] "iif \"eth8\"" [eth8]`,
		`[iifname] "iif != \"eth8\"" [eth8]`,
		`[iifname] "iif { \"eth9\", \"lo\" }" [eth9 lo]`,
		`[meta l4proto] "meta l4proto tcp" [` + "\x06" + `]`,
		`[iifname dport] "iif . tcp dport { \"lo\" . 22 }" [lo` + "\x16" + `]`,
		`[iifname] [eth8]`,
		`[iif] "iif > \"lo\"" [` + "\x02" + `]`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if c := model.Tables[0].Chains[1]; len(c.Devices) != 1 || c.Devices[0] != "eth0" {
		t.Errorf("devices %q", c.Devices)
	}
}

// names are the bytes that are no NUL.
func names(list []ruleset.Range) []string {
	var out []string
	for _, r := range list {
		out = append(out, strings.ReplaceAll(string(r.From), "\x00", ""))
	}
	return out
}
