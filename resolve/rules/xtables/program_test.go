package xtables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestProgramsInheritNothing(t *testing.T) {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// As a shell may leave it to droptrace: not closed on exec.
	const left = 77
	if err := unix.Dup3(int(f.Fd()), left, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(left)
	t.Setenv("IPTABLES_LIB_DIR", "/tmp")
	t.Setenv("LD_PRELOAD_NOT", "x")

	p := newPrograms(newNamespace(t))
	out, err := p.run(context.Background(), nil, "/bin/sh", "-c",
		"env; pwd; readlink /proc/self/ns/net; test -e /proc/$$/fd/77 && echo open; cat")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(out)) {
		switch name, _, _ := strings.Cut(line, "="); name {
		case "LC_ALL", "PATH", "PWD", "OLDPWD", "SHLVL", "_", "/":
		case fmt.Sprintf("net:[%d]", p.ns.(testNamespace).Inode()):
		default:
			t.Errorf("the program sees %s", line)
		}
	}
}

func TestProgramsAreNotRunWhereTheCheckFails(t *testing.T) {
	n := newNamespace(t)
	p := newPrograms(n)
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

func TestProgramsThatFailSaySo(t *testing.T) {
	p := newPrograms(newNamespace(t))
	_, err := p.run(context.Background(), nil, "/bin/sh", "-c", "echo 'no \x1b[2Jluck' >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), `no \x1b[2Jluck`) || !strings.Contains(err.Error(), "status 3") {
		t.Errorf("got %v", err)
	}
	if _, err := p.run(context.Background(), nil, "/nonexistent/program"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
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
