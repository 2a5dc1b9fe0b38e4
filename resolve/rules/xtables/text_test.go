package xtables

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func (n testNamespace) texts(t *testing.T, b *Blob) map[*ruleset.Rule]string {
	t.Helper()
	texts, err := Texts(context.Background(), n, b)
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// checkTexts compares the texts with all that iptables-legacy-save prints.
func (n testNamespace) checkTexts(t *testing.T, b *Blob) {
	t.Helper()
	texts := n.texts(t, b)
	var got, want []string
	for _, c := range b.Table.Chains {
		for _, r := range c.Rules {
			got = append(got, texts[r])
		}
	}
	for text := range strings.Lines(n.Run(t, "", legacyProgram(b.ID.Family, "-save"), "-t", b.ID.Name)) {
		if strings.HasPrefix(text, "-A ") {
			want = append(want, strings.TrimSuffix(text, "\n"))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%v: got\n%s\nwant\n%s", b.ID, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTextsOfEveryTable(t *testing.T) {
	for _, family := range []string{"ip", "ip6"} {
		n := newNamespace(t)
		for table, rules := range everyTable() {
			rules = strings.ReplaceAll(rules, "@unreachable", answers(family))
			n.load(t, family, rules)
			b := n.read(t, family, table)
			n.checkTexts(t, b)
			for r, text := range n.texts(t, b) {
				if !strings.Contains(rules, text+"\n") {
					t.Errorf("rule %d of %s: %s is not in\n%s", r.Number, r.Chain.Name, text, rules)
				}
			}
		}
	}
}

func TestTextsSeeEachChange(t *testing.T) {
	const before = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" +
		"-A INPUT -s 10.0.0.1/32 -m comment --comment \"one\" -j DROP\n-A INPUT -j ACCEPT\nCOMMIT\n"
	for _, tt := range []struct{ name, old, new string }{
		{"a rule more", "COMMIT", "-A OUTPUT -j DROP\nCOMMIT"},
		{"the same number of other rules", "10.0.0.1", "10.0.0.2"},
		{"another comment", "one", "two"},
		{"another policy", ":INPUT ACCEPT", ":INPUT DROP"},
		{"a chain more", "-A INPUT -s", ":more - [0:0]\n-A INPUT -s"},
	} {
		n := newNamespace(t)
		n.load(t, "ip", before)
		b := n.read(t, "ip", "filter")
		n.load(t, "ip", strings.Replace(before, tt.old, tt.new, 1))
		if _, err := Texts(context.Background(), n, b); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: got %v, want ErrChanged", tt.name, err)
		}
	}
}

func TestTextsSurviveCountersThatMove(t *testing.T) {
	n := newNamespace(t)
	n.load(t, "ip", "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m limit --limit 1/sec -j ACCEPT\n"+
		"-A OUTPUT -m statistic --mode nth --every 2 --packet 0 -j ACCEPT\n-A OUTPUT -m quota --quota 999 -j ACCEPT\nCOMMIT\n")
	b := n.read(t, "ip", "filter")
	n.send(t, "127.0.0.1", 1, 2, 3, 4, 5, 6)
	now := n.read(t, "ip", "filter")
	if now.Entries[0].Packets+now.Entries[1].Packets == b.Entries[0].Packets {
		t.Error("no counter moved")
	}
	n.checkTexts(t, b)
}

// iptables does not escape line breaks: whoever writes a comment could make
// other rules look like what they are not.
func TestTextsRefuseCommentsThatLookLikeRules(t *testing.T) {
	for _, comment := range []string{
		"x\n-A INPUT -j ACCEPT", "x\n# y", "x\n\ny", "x\nCOMMIT\n#", "x\n:INPUT DROP [0:0]", "x\n*filter", "x\ny",
		"x\n-A OTHER -j ACCEPT",
	} {
		n := newNamespace(t)
		n.iptables(t, "-A", "INPUT", "-m", "comment", "--comment", comment, "-j", "DROP")
		n.iptables(t, "-A", "INPUT", "-j", "ACCEPT")
		b := n.read(t, "ip", "filter")
		if got := b.Table.Chains[0].Rules[0].Comment; got != comment {
			t.Errorf("comment is %q, want %q", got, comment)
		}
		if texts, err := Texts(context.Background(), n, b); err == nil {
			t.Errorf("%q: no error but %v", comment, texts)
		}
	}
}

func TestTextsCreateNoTable(t *testing.T) {
	n, other := newNamespace(t), newNamespace(t)
	other.load(t, "ip", everyTable()["nat"])
	b := other.read(t, "ip", "nat")
	if _, err := Texts(context.Background(), n, b); !errors.Is(err, ErrNoTable) {
		t.Errorf("got %v, want ErrNoTable", err)
	}
	if names := n.names(t); names != "" {
		t.Errorf("there are tables now: %q", names)
	}
}

// link makes a directory with links of these names to installed programs.
func link(t *testing.T, links map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSaveProgram(t *testing.T) {
	n := newNamespace(t)
	n.load(t, "ip", everyTable()["raw"])
	b := n.read(t, "ip", "raw")
	legacy, nft := "/usr/sbin/xtables-legacy-multi", "/usr/sbin/xtables-nft-multi"
	for _, tt := range []struct {
		name  string
		links map[string]string
		err   error
	}{
		{"both", map[string]string{"iptables-legacy-save": legacy, "iptables-save": nft}, nil},
		{"only the plain name, legacy", map[string]string{"iptables-save": legacy}, nil},
		{"only the plain name, nf_tables", map[string]string{"iptables-save": nft}, ErrNoProgram},
		{"another family's", map[string]string{"ip6tables-legacy-save": legacy}, ErrNoProgram},
		{"broken link", map[string]string{"iptables-legacy-save": "/nonexistent"}, ErrNoProgram},
		{"nothing", nil, ErrNoProgram},
	} {
		p := programs{ns: n, Runner: program.Runner{Dirs: []string{link(t, tt.links)}}}
		if texts, err := p.texts(context.Background(), b); !errors.Is(err, tt.err) || err == nil && len(texts) != 2 {
			t.Errorf("%s: %v, %v", tt.name, texts, err)
		}
	}
}

func TestProgramsAreStopped(t *testing.T) {
	n := newNamespace(t)
	p := programs{ns: n, Runner: program.Runner{Timeout: 50 * time.Millisecond}}
	start := time.Now()
	if _, err := p.run(context.Background(), nil, "/bin/sleep", "60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	b := &Blob{ID: TableID{"ip", "filter"}}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Texts(cancelled, n, b); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
