package completion_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/app"
	"github.com/droptrace/droptrace/cmd/droptrace/completion"
	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/fake"
)

// complete returns the words that may stand at the end of the line.
func complete(t *testing.T, line string) (words []string, files bool) {
	t.Helper()
	var f fake.Source
	a := completion.Complete(t.Context(), app.New(console.Terminal{}, f.Open), strings.Split(line, " "))
	for _, c := range a.Candidates {
		words = append(words, c.Word)
	}
	return words, a.Files
}

func TestEveryFlagOfEveryCommandIsOffered(t *testing.T) {
	a := app.New(console.Terminal{}, nil)
	commands := map[string][]cli.Flag{"": a.Flags}
	for _, c := range a.Commands {
		commands[c.Name+" "] = c.Flags
	}
	for name, flags := range commands {
		got, _ := complete(t, name+"--")
		want := []string{"--help"}
		for _, f := range flags {
			want = append(want, "--"+f.Names()[0])
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("droptrace %s--: %q, want %q", name, got, want)
		}
	}
}

// A flag added later must be given values, or be named here.
func TestEveryFlagHasValuesOrCannotHaveThem(t *testing.T) {
	free := strings.Fields(`port sport dport host src dst mark count duration snaplen rotate-size rotate-seconds
		rotate-files buffer-size interval within wait icmp-type length ttl dscp mac uid gid with`)
	a := app.New(console.Terminal{}, nil)
	lists := map[string][]cli.Flag{"": a.Flags}
	for _, c := range a.Commands {
		lists[c.Name+" "] = c.Flags
	}
	for command, flags := range lists {
		for _, f := range flags {
			name := f.Names()[0]
			if !console.TakesValue("--"+name, flags) || slices.Contains(free, name) || ofMachine(name) {
				continue
			}
			if words, files := complete(t, command+"--"+name+" "); len(words) == 0 && !files {
				t.Errorf("droptrace %s--%s offers nothing", command, name)
			}
		}
	}
}

// ofMachine reports whether a flag's values are found on the machine, which may have none.
func ofMachine(flag string) bool {
	return slices.Contains([]string{"iface", "in", "out", "netns", "table", "chain", "reason"}, flag)
}

func TestWhereTheCursorIs(t *testing.T) {
	for line, want := range map[string]string{
		"rea":                    "read",
		"expl":                   "explain",
		"--hook in":              "input ingress",
		"--hook=in":              "--hook=input --hook=ingress",
		"--hook input,forw":      "input,forward",
		"tcp port 80 --pri":      "--print",
		"read f --correl":        "--correlate",
		"read --output t":        "text tcpdump",
		"explain --output t":     "text",
		"-- --hook in":           "",
		"-- --hoo":               "",
		"--port 80":              "",
		"--json=":                "",
		"--nosuch ":              "conntrack explain doctor read",
		"--nosuch=x":             "",
		"tcp ":                   "",
		"read file con":          "",
		"-n read --output t":     "text tcpdump",
		"--hook -i lo --hook ou": "output",
		"-ni lo --hook ou":       "output",
	} {
		got, _ := complete(t, line)
		if strings.Join(got, " ") != want {
			t.Errorf("droptrace %s: %q, want %q", line, got, want)
		}
	}
	for line, want := range map[string]bool{
		"": false, "read ": true, "read x ": true, "--read ": true, "-r ": true, "-w ": true, "--write=": true,
		"explain --rules ": true, "explain --drops x": true, "explain ": false, "doctor --rules ": true, "--port ": false,
	} {
		if _, files := complete(t, line); files != want {
			t.Errorf("droptrace %s: files %v, want %v", line, files, want)
		}
	}
}

// A word that is offered must not be refused: the command line reads it.
func TestOfferedWordsAreAccepted(t *testing.T) {
	golden := "../testdata/golden/"
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	term := console.Terminal{Stdout: null, Stderr: null, Zone: time.UTC, Getenv: func(string) string { return "" }}
	explain := "explain --rules " + golden + "nft.rules --in eth0 --src 192.0.2.1 --dst 192.0.2.2 --dport 80 "
	for _, c := range []struct{ line, flag string }{
		{"read " + golden + "drops.json ", "hook"}, {"read " + golden + "drops.json ", "ctstate"},
		{"read " + golden + "drops.json ", "proto"}, {"read " + golden + "drops.json ", "output"},
		{"--duration 1ms ", "probes"}, {"--duration 1ms ", "output"}, {"conntrack --duration 1ms ", "output"},
		{explain, "state"}, {explain, "tcp-flags"}, {explain, "output"},
	} {
		words, _ := complete(t, c.line+"--"+c.flag+" ")
		if len(words) == 0 {
			t.Errorf("%s--%s: nothing is offered", c.line, c.flag)
		}
		for _, w := range words {
			var f fake.Source
			line := "droptrace " + c.line + "--" + c.flag + " " + w
			if code := console.Run(app.New(term, f.Open), term, strings.Fields(line)); code == 2 {
				t.Errorf("%s is refused", line)
			}
		}
	}
}
