package xtables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestProgramsAreNotRunWhereTheCheckFails(t *testing.T) {
	n := newNamespace(t)
	p := programs{ns: n}
	before := openFiles(t)
	marker := t.TempDir() + "/ran"
	_, err := p.run(context.Background(), func() error { return ErrNoTable }, "/bin/touch", marker)
	if !errors.Is(err, ErrNoTable) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("it ran")
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files open after, %d before", after, before)
	}
}

func TestParseSave(t *testing.T) {
	const good = "# Generated\n*filter\n:INPUT DROP [0:0]\n:c - [0:0]\n-A INPUT -j c\n-A c\n-A c -j DROP\nCOMMIT\n# Completed\n"
	lines, err := parseSave(good, "filter")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(lines); got != "map[INPUT:[-A INPUT -j c] c:[-A c -A c -j DROP]]" {
		t.Errorf("got %s", got)
	}
	for _, tt := range []struct{ name, old, new string }{
		{"another table", "*filter", "*nat"},
		{"two tables", "# Completed", "*nat\nCOMMIT"},
		{"no end", "COMMIT\n# Completed\n", ""},
		{"cut within a line", "Completed\n", "Comp"},
		{"a rule of no chain", "-A c -j", "-A d -j"},
		{"a chain behind a rule", "-A c\n", ":d - [0:0]\n"},
		{"a chain twice", ":c -", ":INPUT -"},
		{"a chain without policy", ":c - [0:0]", ":c"},
		{"an empty line", "-A c\n", "\n"},
		{"a comment among rules", "-A c\n", "# c\n"},
		{"another command", "-A c\n", "-I c\n"},
		{"rules with counters", "-A c\n", "[0:0] -A c\n"},
		{"rules behind the end", "# Completed", "-A c"},
	} {
		if lines, err := parseSave(strings.Replace(good, tt.old, tt.new, 1), "filter"); !errors.Is(err, errListing) {
			t.Errorf("%s: %v, %v", tt.name, lines, err)
		}
	}
}
