package console

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/host/program"
)

func TestFlagsThatDoWhatAnExpressionSays(t *testing.T) {
	for text, want := range map[string]string{
		"tcp port 80 and host 10.0.0.1":         "--proto tcp --port 80 --host 10.0.0.1",
		"tcp":                                   "--proto tcp",
		"udp && dst port 53":                    "--proto udp --dport 53",
		"src 10.0.0.1 and dst net 192.0.2.0/24": "--src 10.0.0.1 --dst 192.0.2.0/24",
		"portrange 8000-8010":                   "--port 8000-8010",
		"icmp6":                                 "--proto icmpv6",
		"tcp or udp":                            "",
		"not port 80":                           "",
		"tcp[13] = 2":                           "",
		"port 80 or port 81":                    "",
		"vlan 5":                                "",
		"port":                                  "",
		"port 80 and":                           "",
		"host (10.0.0.1":                        "",
	} {
		if got := flagsFor(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestAnExpressionThatCannotBeCompiledIsBadUsage(t *testing.T) {
	ctx := context.Background()
	for text, want := range map[string]string{
		"tcp prt 80":       "syntax error",
		"ip and arp":       "expression rejects all packets",
		"port nosuchname":  "unknown port 'nosuchname'",
		"ip6 protochain 6": "protochain is a loop",
		"ether[-1] = 3":    "before the beginning",
		"-w file":          "syntax error", // never a flag of tcpdump's
	} {
		_, err := CompileExpression(ctx, program.Runner{}, text)
		if err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if p, err := CompileExpression(ctx, program.Runner{}, "  "); p != nil || err != nil {
		t.Errorf("blanks: %v, %v", p, err)
	}
}

func TestWithoutTcpdumpTheFlagsAreNamed(t *testing.T) {
	_, err := CompileExpression(context.Background(), program.Runner{Dirs: []string{t.TempDir()}}, "tcp port 80")
	var b strings.Builder
	printError(&b, SystemTerminal().Style(os.Stderr), err)
	if got := b.String(); exitCode(err) != 2 || !strings.Contains(got, "tcpdump is not installed") || !strings.Contains(got, "droptrace --proto tcp --port 80") {
		t.Errorf("exit code %d, %q", exitCode(err), got)
	}
}

// A tcpdump that hangs, as on a name server that does not answer, is ended.
func TestAnEndEndsTcpdump(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tcpdump"), []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := CompileExpression(ctx, program.Runner{Dirs: []string{dir}}, "host a.example"); err == nil {
		t.Error("no error")
	}
}
