package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/droptrace/droptrace/"

// Data goes one way: bpf, tracer, resolve, cmd. The leaves, which all others may
// import, import nothing of ours but what the tracer's records are made of.
func TestImportsGoOneWay(t *testing.T) {
	records := []string{"tracer/event", "tracer/packet", "tracer/filter", "tracer/ktime"}
	walls := []struct {
		from    string
		allowed []string // packages or, with a slash behind, whole folders
	}{
		{"bpf", nil},
		{"tracer", []string{"bpf", "tracer/"}},
		{"resolve/drop", records},
		{"resolve/netfilter", nil},
		{"resolve/live", []string{"tracer", "tracer/", "resolve", "resolve/"}},
		{"resolve", append(records, "resolve/")},
		{"cmd", []string{"bpf", "tracer", "tracer/", "resolve", "resolve/", "cmd/"}},
	}
	for _, p := range list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...") {
		name, imports, _ := strings.Cut(p, " ")
		name = strings.TrimPrefix(name, module)
		i := slices.IndexFunc(walls, func(w struct {
			from    string
			allowed []string
		}) bool {
			return name == w.from || strings.HasPrefix(name, w.from+"/")
		})
		if i < 0 {
			continue // of test
		}
		for _, path := range strings.Fields(imports) {
			path, ours := strings.CutPrefix(path, module)
			if ours && !slices.ContainsFunc(walls[i].allowed, func(a string) bool {
				return path == a || strings.HasSuffix(a, "/") && strings.HasPrefix(path, a)
			}) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// Who prints a record, or reads one, needs neither netlink nor what reads rules.
func TestPrintingNeedsNoMachine(t *testing.T) {
	for _, p := range list(t, "-deps", module+"cmd/droptrace/output", module+"cmd/droptrace/recording") {
		reader := strings.HasPrefix(p, module+"resolve/") && slices.ContainsFunc(
			[]string{"/nftables", "/xtables", "/iptables", "/ipset", "/netns", "/table"},
			func(name string) bool { return strings.Contains(p, name) })
		if strings.Contains(p, "netlink") || reader {
			t.Errorf("output or recording depends on %s", p)
		}
	}
}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
