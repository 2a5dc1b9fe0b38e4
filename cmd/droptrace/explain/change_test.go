package explain

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/scratch"
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
		got, err := shellSplit(command)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, want %q", command, got, err, want)
		}
	}
	for _, command := range []string{`nft 'add`, `a "b`} {
		if got, err := shellSplit(command); err == nil {
			t.Errorf("%q: %q", command, got)
		}
	}
}

func FuzzWhatIf(f *testing.F) {
	f.Add([]byte(`{"type":"drop","schema":1,"packet":{"family":"ip"}}`))
	f.Add([]byte(`{"type":"notice"}`))
	f.Add([]byte(`[1]`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var d drop.Drop
		if json.Unmarshal(line, &d) == nil {
			keyOfDrop(&d)
		}
		rules.LanguageOf(line)
		if words, err := shellSplit(string(line)); err == nil {
			_ = scratch.Check(words)
		}
	})
}
