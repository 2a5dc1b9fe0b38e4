package iptables

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// The files in testdata are read alike before and after the real programs have
// taken and printed them, as both engines do.
func TestFilesReadAlikeAfterTheRealPrograms(t *testing.T) {
	files, err := filepath.Glob("testdata/*.save")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		for _, engine := range []ruleset.Engine{ruleset.IPTablesLegacy, ruleset.IPTablesNFT} {
			if strings.Contains(name, "every") && engine == ruleset.IPTablesLegacy {
				continue // nft's -j TRACE and others print other words
			}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input := loadable(string(b))
			family := "ip"
			if strings.Contains(name, "every6") {
				family = "ip6"
			}
			l := newLab(t)
			l.Run(t, input, program(engine, family, "-restore"))
			saved := l.Run(t, "", program(engine, family, "-save"), "-c")
			before, err := Parse(strings.NewReader(input), Options{Family: family, Engine: engine})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			after, err := Parse(strings.NewReader(saved), Options{Family: family})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			compareRulesets(t, name, before, after)
		}
	}
}

// loadable leaves out what this kernel has not: nfacct and helpers.
func loadable(file string) string {
	var kept strings.Builder
	for line := range strings.Lines(file) {
		if !strings.Contains(line, "nfacct") && !strings.Contains(line, "--helper") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func compareRulesets(t *testing.T, name string, before, after *ruleset.Ruleset) {
	t.Helper()
	tables := make(map[string]*ruleset.Table)
	for _, table := range after.Tables {
		tables[table.Name] = table
	}
	compared := 0
	for _, table := range before.Tables {
		chains := make(map[string]*ruleset.Chain)
		if tables[table.Name] == nil {
			t.Fatalf("%s: no table %s afterwards", name, table.Name)
		}
		for _, c := range tables[table.Name].Chains {
			chains[c.Name] = c
		}
		for _, c := range table.Chains {
			other := chains[c.Name]
			if other == nil || len(other.Rules) != len(c.Rules) || other.Policy != c.Policy || other.Priority != c.Priority {
				t.Errorf("%s: chain %s is %+v, was %+v", name, c.Name, other, c)
				continue
			}
			for i, r := range c.Rules {
				compared++
				if fingerprint(r) != fingerprint(other.Rules[i]) {
					t.Errorf("%s:\n%s\n%s\n%s\n%s", name, r.Text, fingerprint(r), other.Rules[i].Text, fingerprint(other.Rules[i]))
				}
			}
		}
	}
	if compared == 0 {
		t.Errorf("%s: no rules compared", name)
	}
}
