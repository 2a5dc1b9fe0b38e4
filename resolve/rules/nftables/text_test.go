package nftables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// chainNamed finds a chain that must be there.
func (s *Snapshot) chainNamed(t testing.TB, family, table, chain string) *ruleset.Chain {
	t.Helper()
	for _, tb := range s.Ruleset().Tables {
		for _, c := range tb.Chains {
			if tb.Family == family && tb.Name == table && c.Name == chain {
				return c
			}
		}
	}
	t.Fatalf("no chain %s %s %s", family, table, chain)
	return nil
}

var (
	nftTable = regexp.MustCompile(`^table .* # handle (\d+)$`)
	nftRule  = regexp.MustCompile(`^\t\t(\S.*) # handle (\d+)$`)
	numbers  = regexp.MustCompile(`counter packets \d+ bytes \d+`)
)

// listed reads rules by table and rule handle from `nft -a list ruleset`, each
// on its own line.
func (n *testNamespace) listed(t *testing.T) map[string]string {
	texts := make(map[string]string)
	table := ""
	for line := range strings.Lines(n.Run(t, "", "nft", "-a", "list", "ruleset")) {
		line = strings.TrimSuffix(line, "\n")
		if m := nftTable.FindStringSubmatch(line); m != nil {
			table = m[1]
		}
		if m := nftRule.FindStringSubmatch(line); m != nil {
			texts[table+" "+m[2]] = numbers.ReplaceAllString(m[1], "counter")
		}
	}
	return texts
}

func TestTextsAreThoseOfListRuleset(t *testing.T) {
	ns := everythingNamespace(t)
	s := ns.read(t)
	want := ns.listed(t)
	checked := 0
	for _, tb := range s.Ruleset().Tables {
		for _, c := range tb.Chains {
			for _, r := range c.Rules {
				got, err := s.Text(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				text, ok := want[key(r)]
				if !ok || text == "}" {
					continue // in { … }, or around it: tested below
				}
				checked++
				if got != text {
					t.Errorf("handle %d:\n got %q\nwant %q", r.Handle, got, text)
				}
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d rules compared", checked)
	}
}

func key(r *ruleset.Rule) string {
	return fmt.Sprintf("%d %d", r.Chain.Table.Handle, r.Handle)
}

func TestTextOfChainInsideARule(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, `
table inet t {
	chain c {
		tcp dport 22 jump {
			ip saddr 1.2.3.4 accept
			tcp sport vmap { 1 : accept, 2 : drop }
			ip daddr { 1.1.1.1, 2.2.2.2 } counter drop comment "a { b"
		}
		drop
	}
}`)
	s := ns.read(t)
	outer := s.chainNamed(t, "inet", "t", "c")
	inner := s.Ruleset().Tables[0].Chains[1]
	// The inner first: it is listed only by way of the outer.
	got, err := s.Texts(t.Context(), inner)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ip saddr 1.2.3.4 accept",
		"tcp sport vmap { 1 : accept, 2 : drop }",
		`ip daddr { 1.1.1.1, 2.2.2.2 } counter drop comment "a { b"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inner chain (-want +got):\n%s", diff)
	}
	got, err = s.Texts(t.Context(), outer)
	if err != nil {
		t.Fatal(err)
	}
	want = []string{"tcp dport 22 jump { " + strings.Join(want, "; ") + "; }", "drop"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outer chain (-want +got):\n%s", diff)
	}
}

func TestTextAfterReload(t *testing.T) {
	const before = `table ip t {
	chain c {
		ip saddr 1.1.1.1 drop
	}
	chain d {
		ip saddr 3.3.3.3 drop
	}
}`
	ns := newNamespace(t)
	ns.nft(t, before)
	old := ns.read(t)
	c, d := old.chainNamed(t, "ip", "t", "c"), old.chainNamed(t, "ip", "t", "d")
	if _, err := old.Text(t.Context(), c.Rules[0]); err != nil {
		t.Fatal(err)
	}
	ns.Run(t, "flush ruleset\n"+strings.ReplaceAll(before, "1.1.1.1", "2.2.2.2"), "nft", "-f", "-")

	// What was read before stays what it was; what was not must not be read
	// from the new ruleset, where the same handle is another rule.
	if got, err := old.Text(t.Context(), c.Rules[0]); err != nil || got != "ip saddr 1.1.1.1 drop" {
		t.Errorf("text fetched before the reload: %q, %v", got, err)
	}
	for range 2 {
		if got, err := old.Text(t.Context(), d.Rules[0]); !errors.Is(err, ErrChanged) {
			t.Errorf("text after the reload: %q, %v; want ErrChanged", got, err)
		}
	}
	now := ns.read(t)
	n := now.chainNamed(t, "ip", "t", "c")
	if n.Rules[0].Handle != c.Rules[0].Handle || n.Table.Handle == c.Table.Handle {
		t.Errorf("table %d rule %d became table %d rule %d: the test needs the same rule handle",
			c.Table.Handle, c.Rules[0].Handle, n.Table.Handle, n.Rules[0].Handle)
	}
	if _, ok := now.Rule(c.Table.Handle, c.Rules[0].Handle); ok {
		t.Error("the old table's handle still finds a rule")
	}
	if got, err := now.Text(t.Context(), n.Rules[0]); err != nil || got != "ip saddr 2.2.2.2 drop" {
		t.Errorf("text of the new rule: %q, %v", got, err)
	}
}

// A program that is slow, or that changes the ruleset itself, stands for a
// reload between the two looks at the generation.
func TestTextWhileRulesetChanges(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, "table ip t {\n chain c {\n drop\n }\n}\n")
	s := ns.read(t)
	dir := t.TempDir()
	script := "#!/bin/sh\n/usr/sbin/nft \"$@\"\n/usr/sbin/nft add rule ip t c accept\n"
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s.texts.Dirs = []string{dir}
	got, err := s.Texts(t.Context(), s.chainNamed(t, "ip", "t", "c"))
	if !errors.Is(err, ErrChanged) {
		t.Errorf("Texts: %q, %v; want ErrChanged", got, err)
	}
}

func TestTextWithoutPrograms(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, "table ip t {\n chain c {\n drop\n }\n}\n")
	ns.iptables(t, "iptables-nft -A INPUT -j DROP")
	s := ns.read(t)
	s.texts.Dirs = []string{t.TempDir()}
	for _, c := range []*ruleset.Chain{s.chainNamed(t, "ip", "t", "c"), s.chainNamed(t, "ip", "filter", "INPUT")} {
		if got, err := s.Texts(t.Context(), c); !errors.Is(err, ErrNoProgram) {
			t.Errorf("%s: %q, %v; want ErrNoProgram", c.Name, got, err)
		}
	}
}

// With iptables-nft gone, nft shows what it can, by handle.
// "iptables-save" may be either variant; only the nf_tables one shows these
// rules.
func TestTextOfSlowProgramIsAskedOnce(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, "table ip t {\n chain c {\n drop\n }\n}\n")
	s := ns.read(t)
	dir := t.TempDir()
	script := "#!/bin/sh\nexec sleep 60\n"
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s.texts.Dirs, s.texts.Timeout = []string{dir}, 2*time.Second // so long a shell may take to begin
	for range 2 {
		if _, err := s.Texts(t.Context(), s.chainNamed(t, "ip", "t", "c")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want context.DeadlineExceeded", err)
		}
		s.texts.Dirs = nil // the real one would answer
	}
}

func TestTextsFromSeveralGoroutines(t *testing.T) {
	ns := everythingNamespace(t)
	s := ns.read(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for _, tb := range s.Ruleset().Tables {
				for _, c := range tb.Chains {
					if texts, err := s.Texts(t.Context(), c); err != nil || len(texts) != len(c.Rules) {
						t.Errorf("%s: %q, %v", c.Name, texts, err)
					}
				}
			}
		})
	}
	group.Wait()
}

// nft leaves out a rule with an expression that it does not know, and says nothing.
func TestTextOfAnOlderProgram(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, "table ip t {\n chain c {\n ip saddr 2.2.2.2 drop\n drop\n }\n}\n")
	s := ns.read(t)
	dir := t.TempDir()
	script := "#!/bin/sh\ncase $1 in --version) echo 'nftables v0.9.8 (E.D.S.)'; exit ;; esac\n" +
		"/usr/sbin/nft \"$@\" | /usr/bin/grep -v 2.2.2.2\n"
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s.texts.Dirs = []string{dir}
	_, err := s.Texts(t.Context(), s.chainNamed(t, "ip", "t", "c"))
	if other, ok := errors.AsType[*OtherVersionError](err); !ok || other.Version != "0.9.8" || !errors.Is(err, errListing) {
		t.Errorf("%v; want an nft of version 0.9.8", err)
	}
}

// Neither iptables-nft-save, which would load a module, nor nft: nft is to be had.
func TestTextNamesTheProgramThatIsMissing(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, "table ip t {\n chain c {\n drop\n }\n}\n")
	ns.iptables(t, "iptables-nft -A INPUT -p udp -m multiport --dports 1,2 -j DROP")
	s := ns.read(t)
	s.texts.Dirs = []string{t.TempDir()}
	for chain, want := range map[string]string{"c": "nft", "INPUT": "iptables-nft-save"} {
		table := map[string]string{"c": "t", "INPUT": "filter"}[chain]
		_, err := s.Texts(t.Context(), s.chainNamed(t, "ip", table, chain))
		if missing, ok := errors.AsType[*program.NotInstalledError](err); !ok || missing.Program != want {
			t.Errorf("%s: %v; want %s", chain, err, want)
		}
	}
}
