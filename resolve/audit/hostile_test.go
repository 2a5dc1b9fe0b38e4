package audit

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// duplicated is a table with a rule that says again what another says, and a base
// chain that drops all that is received: three findings with a command.
func duplicated(engine ruleset.Engine, table, chain string) *ruleset.Ruleset {
	t := &ruleset.Table{Engine: engine, Family: "ip", Name: table}
	base := &ruleset.Chain{Table: t, Name: chain, Hook: "input", Type: "filter", Policy: "drop"}
	t.Chains = []*ruleset.Chain{base}
	for i := range 2 {
		base.Rules = append(base.Rules, &ruleset.Rule{Chain: base, Number: i + 1, Handle: uint64(i + 5), Read: true,
			Text: "ip saddr 192.0.2.1 drop", Statements: []ruleset.Statement{
				&ruleset.Match{Fields: []ruleset.Field{ruleset.IPSource}, Ranges: []ruleset.Range{{From: []byte{192, 0, 2, 1}, To: []byte{192, 0, 2, 1}}}},
				&ruleset.Verdict{Kind: ruleset.Drop}}})
	}
	return &ruleset.Ruleset{Tables: []*ruleset.Table{t}}
}

func TestHostileNamesInFindings(t *testing.T) {
	const plain = "plain"
	for _, name := range []string{plain, "a c accept; flush ruleset; #", "$(touch x)", "it's", `a\'; touch x; '`, "a\ntouch x", "-x", "!x", "drop", "", "\x1b[2J", "é"} {
		for _, rs := range []*ruleset.Ruleset{
			duplicated(ruleset.NFTables, name, "in"), duplicated(ruleset.NFTables, "fw", name), duplicated(ruleset.IPTablesNFT, "filter", name),
		} {
			fixes := 0
			for _, f := range Look(Subject{Rulesets: []*ruleset.Ruleset{rs}, Way: diagnose.Namespace{Own: true}}) {
				if f.Code != Duplicate && f.Code != NoEstablished && f.Code != NoLoopback {
					continue
				}
				fixes++
				if (f.Fix == "") != strings.HasSuffix(f.Message, diagnose.Unnamed) || name == plain && f.Fix == "" {
					t.Errorf("%q: fix %q of %q", name, f.Fix, f.Message)
				}
				onlyOneCommand(t, f.Fix, name)
			}
			if fixes < 3 {
				t.Errorf("%q: %d findings", name, fixes)
			}
		}
	}
}

// onlyOneCommand has a shell read the command: its program is one of ours, and the
// name is one word of it, or of nft's plain.
func onlyOneCommand(t *testing.T, command, name string) {
	t.Helper()
	if command == "" {
		return
	}
	for _, shell := range []string{"bash", "dash"} {
		script := `nft() { printf '%s\0' nft "$@"; }; iptables() { printf '%s\0' iptables "$@"; }; ` + strings.ReplaceAll(command, "iptables-nft ", "iptables ")
		cmd := exec.Command(shell, "-c", script)
		cmd.Dir = t.TempDir()
		out, err := cmd.Output()
		words := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		found := false
		for _, w := range words {
			found = found || w == name
		}
		if err != nil || !found || words[0] != "nft" && words[0] != "iptables" || words[0] == "nft" && !ruleset.PlainName(name) {
			t.Errorf("%s: %s runs %q, %v", shell, command, words, err)
		}
	}
}
