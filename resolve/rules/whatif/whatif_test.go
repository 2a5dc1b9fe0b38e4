package whatif

import (
	"errors"
	"slices"
	"testing"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/scratch"
	"github.com/droptrace/droptrace/test/nstest"
)

func TestCommandsAreSplitAsAShellDoes(t *testing.T) {
	for command, want := range map[string][]string{
		"iptables -I INPUT 1 -j ACCEPT":                      {"iptables", "-I", "INPUT", "1", "-j", "ACCEPT"},
		"sudo  nft add rule inet f in tcp dport { 80, 81 }":  {"nft", "add", "rule", "inet", "f", "in", "tcp", "dport", "{", "80,", "81", "}"},
		`nft 'add rule inet f in accept'`:                    {"nft", "add rule inet f in accept"},
		`iptables -A INPUT -m comment --comment "a \"b\" c"`: {"iptables", "-A", "INPUT", "-m", "comment", "--comment", `a "b" c`},
		`a '' b`: {"a", "", "b"},
		``:       nil,
	} {
		got, err := splitWords(command)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, want %q", command, got, err, want)
		}
	}
	for _, command := range []string{`nft 'add`, `a "b`} {
		if got, err := splitWords(command); err == nil {
			t.Errorf("%q: %q", command, got)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add(`nft 'add rule inet f in accept'`)
	f.Fuzz(func(t *testing.T, command string) {
		if words, err := splitWords(command); err == nil {
			_ = scratch.Check(words)
		}
	})
}

func TestAChangeLeavesTheRulesAlone(t *testing.T) {
	n := nstest.New(t)
	n.Run(t, "table inet f {\nchain in { type filter hook input priority 0; tcp dport 80 drop; }\n}\n", "nft", "-f", "-")
	h, err := netns.Open(netns.Namespace{Inode: n.Inode(t), Path: n.Path()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	read, err := rules.Read(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	before := n.Run(t, "", "nft", "list", "ruleset")
	from := Rules{Rules: read, Handle: h}
	changed, err := from.Change(t.Context(), []string{"sudo nft insert rule inet f in tcp dport 80 accept"})
	if err != nil {
		t.Fatal(err)
	}
	if got := changed.List[0].Tables[0].Chains[0].Rules; len(got) != 2 || changed.Unchecked != nil {
		t.Errorf("%d rules after the change, unchecked: %v", len(got), changed.Unchecked)
	}
	if after := n.Run(t, "", "nft", "list", "ruleset"); after != before {
		t.Errorf("the rules were\n%s\nand are\n%s", before, after)
	}
}

func TestCommandsThatChangeNoRulesAreRefused(t *testing.T) {
	from := Rules{Rules: &rules.Rules{}}
	for _, command := range []string{"cat /etc/passwd", "nft 'add", "nft list ruleset", ""} {
		_, err := from.Change(t.Context(), []string{command})
		if refused, ok := errors.AsType[*CommandError](err); !ok || refused.Command != command {
			t.Errorf("%q: %v", command, err)
		}
	}
}
