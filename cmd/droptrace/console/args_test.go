package console

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

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
