package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/resolve/drop"
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
		_, err := compileExpression(ctx, program.Runner{}, text)
		if err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if p, err := compileExpression(ctx, program.Runner{}, "  "); p != nil || err != nil {
		t.Errorf("blanks: %v, %v", p, err)
	}
}

func TestWithoutTcpdumpTheFlagsAreNamed(t *testing.T) {
	_, err := compileExpression(context.Background(), program.Runner{Dirs: []string{t.TempDir()}}, "tcp port 80")
	var b strings.Builder
	printError(&b, systemTerminal().style(os.Stderr), err)
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
	if _, err := compileExpression(ctx, program.Runner{Dirs: []string{dir}}, "host a.example"); err == nil {
		t.Error("no error")
	}
}

func TestFlagsBehindAnExpressionAreFlags(t *testing.T) {
	app := &cli.App{
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "iface", Aliases: []string{"i"}}, &cli.BoolFlag{Name: "json"},
			&cli.BoolFlag{Name: "numeric", Aliases: []string{"n"}}, &cli.StringFlag{Name: "count", Aliases: []string{"c"}},
		},
		Commands: []*cli.Command{{Name: "read", Flags: []cli.Flag{&cli.StringFlag{Name: "port"}}}},
	}
	for line, want := range map[string]string{
		"":                           "",
		"--json":                     "--json",
		"tcp port 80":                "-- tcp port 80",
		"tcp port 80 --json -c 1":    "--json -c 1 -- tcp port 80",
		"-i eth0 port 80 -n":         "-i eth0 -n -- port 80",
		"port 80 -ni eth0 and tcp":   "-ni eth0 -- port 80 and tcp",
		"--iface=eth0 tcp --count=3": "--iface=eth0 --count=3 -- tcp",
		"tcp -- --json":              "-- tcp --json",
		"tcp[13] - 2 = 0 --json":     "--json -- tcp[13] - 2 = 0",
		"tcp --nosuch 3":             "--nosuch -- tcp 3",
		"tcp -c":                     "-c -- tcp",
		"read file --port 80":        "read --port 80 -- file",
		"--json read file --port 80": "--json read --port 80 -- file",
		"-i read tcp":                "-i read -- tcp",
	} {
		args := append([]string{"droptrace"}, strings.Fields(line)...)
		wantArgs := append([]string{"droptrace"}, strings.Fields(want)...)
		if got := flagsFirst(app, args); !slices.Equal(got, wantArgs) {
			t.Errorf("%q: %q, want %q", line, got[1:], want)
		}
	}
}

// However a packet was recorded, an expression sees the same frame.
func TestRecordedPacketsAsFrames(t *testing.T) {
	ip := []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	macs := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	tag := []byte{0x81, 0, 0, 7}
	none := make([]byte, 12)
	type0 := []byte{8, 0}
	for _, tt := range []struct {
		name   string
		c      drop.Capture
		tags   bool
		want   []byte
		length int
	}{
		{"ethernet", drop.Capture{Link: drop.LinkEthernet, Data: slices.Concat(macs, type0, ip), Original: 60}, false, slices.Concat(macs, type0, ip), 60},
		{"tag beside it", drop.Capture{Link: drop.LinkEthernet, Tagged: true, Data: slices.Concat(macs, tag, type0, ip), Original: 64}, false, slices.Concat(macs, type0, ip), 60},
		{"tag asked for", drop.Capture{Link: drop.LinkEthernet, Tagged: true, Data: slices.Concat(macs, tag, type0, ip), Original: 64}, true, slices.Concat(macs, tag, type0, ip), 64},
		{"raw", drop.Capture{Link: drop.LinkRaw, Data: ip, Original: 46}, false, slices.Concat(none, type0, ip), 60},
		{"raw ip6", drop.Capture{Link: drop.LinkRaw, Data: []byte{0x60}, Original: 40}, false, slices.Concat(none, []byte{0x86, 0xdd, 0x60}), 54},
		{"cooked", drop.Capture{Link: drop.LinkCooked, Data: slices.Concat(make([]byte, 14), []byte{8, 6}, ip), Original: 36}, false, slices.Concat(none, []byte{8, 6}, ip), 34},
	} {
		frame, length := ethernetFrame(&tt.c, tt.tags)
		if !slices.Equal(frame, tt.want) || length != tt.length {
			t.Errorf("%s: %x of %d, want %x of %d", tt.name, frame, length, tt.want, tt.length)
		}
	}
}

func TestFilesComeBeforeAnExpression(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"a": "a|", "a b": "a b|", "a tcp port 80": "a|tcp port 80", "a b - tcp": "a b -|tcp", "missing": "missing|", "missing tcp": "missing|tcp",
	} {
		files, text := filesFirst(strings.Fields(line))
		if got := strings.Join(files, " ") + "|" + text; got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
