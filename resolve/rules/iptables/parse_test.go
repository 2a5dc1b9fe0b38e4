package iptables

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func parseFile(t *testing.T, name string) *ruleset.Ruleset {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rs, err := Parse(f, Options{})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return rs
}

// Every file in testdata holds only what is known.
func TestFilesHoldNothingThatIsNotUnderstood(t *testing.T) {
	files, err := filepath.Glob("testdata/*.save")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		for _, table := range parseFile(t, name).Tables {
			for _, c := range table.Chains {
				for _, r := range c.Rules {
					for _, o := range opaque(r.Statements) {
						if !o.Understood {
							t.Errorf("%s: %s: %q is not understood", name, r.Text, o.Kind)
						}
					}
				}
			}
		}
	}
}

func opaque(statements []ruleset.Statement) (found []*ruleset.Opaque) {
	for _, s := range statements {
		switch s := s.(type) {
		case *ruleset.Opaque:
			found = append(found, s)
		case *ruleset.Any:
			for _, of := range s.Of {
				found = append(found, opaque(of)...)
			}
		}
	}
	return found
}
