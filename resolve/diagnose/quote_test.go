package diagnose

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSavedRulesAreSplitAsTheyWereQuoted(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{`-A INPUT -p tcp -j DROP`, []string{"-A", "INPUT", "-p", "tcp", "-j", "DROP"}},
		{`-m comment --comment "a b"`, []string{"-m", "comment", "--comment", "a b"}},
		{`--comment "say \"hi\" \\ it\'s"`, []string{"--comment", `say "hi" \ it's`}},
		{`--comment ""`, []string{"--comment", ""}},
		{`  a  b `, []string{"a", "b"}},
	} {
		got, err := splitSaved(test.text)
		if err != nil || strings.Join(got, "\x00") != strings.Join(test.want, "\x00") {
			t.Errorf("%s: %q, %v", test.text, got, err)
		}
	}
	if _, err := splitSaved(`--comment "open`); err == nil {
		t.Error("a quote that is not closed is no error")
	}
}

// What a fix says is what the shell runs, whatever strangers have put into it.
func FuzzShellReadsWordsBack(f *testing.F) {
	for _, s := range []string{"a b", "$(reboot)", "`id`", "it's", `"`, "a\nb", "*", "~", "-x", "a;b", "#", "\\", "!x", "{a,b}", "=ls", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		word, ok := quote(s)
		if !ok {
			return
		}
		if strings.ContainsAny(word, "\n\x00\x1b") {
			t.Fatalf("%q has a control character", word)
		}
		out, err := exec.Command("sh", "-c", "printf %s "+word).Output()
		if strings.HasPrefix(s, "-") || strings.ContainsRune(s, '%') {
			out, err = exec.Command("sh", "-c", "printf '%s' "+word).Output()
		}
		if err != nil || string(out) != s {
			t.Fatalf("%q: the shell reads %q (%v)", s, out, err)
		}
	})
}

func FuzzSplitSaved(f *testing.F) {
	f.Add(`-A INPUT -m comment --comment "a \"b\" c" -j DROP`)
	f.Add(`"\`)
	f.Fuzz(func(t *testing.T, s string) {
		args, err := splitSaved(s)
		if err != nil {
			return
		}
		if c := shell(args...); strings.ContainsRune(c, '\n') {
			t.Errorf("%q becomes two lines: %q", s, c)
		}
	})
}

func TestNFTStatements(t *testing.T) {
	for _, test := range []struct {
		text, comment, want string
		ok                  bool
	}{
		{`tcp dport 80 counter packets 5 bytes 300 accept # handle 7`, "", `tcp dport 80 counter accept`, true},
		{`tcp dport 80 accept comment "web"`, "web", `tcp dport 80 accept`, true},
		{`tcp dport 80 accept comment "x" drop comment "y"`, `x" drop comment "y`, "", false},
		{`tcp dport 80 accept comment "other"`, "web", "", false},
		{`xt match "string" accept`, "", "", false},
		{"accept; flush ruleset", "", "", false},
		{"accept\nflush ruleset", "", "", false},
	} {
		if got, ok := nftStatement(test.text, test.comment); got != test.want || ok != test.ok {
			t.Errorf("%s: %q, %v", test.text, got, ok)
		}
	}
}

// Names come from whoever may name things: a container's root, too.
func TestHostileNames(t *testing.T) {
	for _, n := range []Namespace{{Name: "a;reboot"}, {Name: "$(x)"}, {Name: "a b"}} {
		got := n.in("true")
		out, err := exec.Command("sh", "-c", "ip() { printf '%s\\n' \"$@\"; }; "+got).Output()
		if want := "netns\nexec\n" + n.Name + "\ntrue\n"; err != nil || string(out) != want {
			t.Errorf("%q: the shell reads %q, %v", got, out, err)
		}
	}
	if got := (Namespace{Name: "-all"}).in("true"); got != "" {
		t.Errorf("a name that ip reads as an option: %q", got)
	}
	if got := (Namespace{Name: "a\nb"}).in("true"); got != "" {
		t.Errorf("a name of two lines: %q", got)
	}
	m := newModel("nftables", "inet", "fil;ter")
	base := m.base("in", "input", "drop")
	if got := Diagnose(dropAt(web, base, nil, m.rulesets())); len(got) != 1 || got[0].Fix != "" {
		t.Errorf("a table that nft cannot name: %+v", got)
	}
	six := newModel("nftables", "inet", "f")
	base = six.base("in", "input", "drop")
	p := web
	p.in = `x"accept`
	six.rule("in", "", with(tcp(80), negated(in(p.in)), accept)...)
	for _, w := range Diagnose(dropAt(p, base, nil, six.rulesets())) {
		if strings.Contains(w.Fix, p.in) {
			t.Errorf("an interface's name that nft reads as more: %s", w.Fix)
		}
	}
}
