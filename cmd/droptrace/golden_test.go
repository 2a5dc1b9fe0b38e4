package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The drops of scripts/demo, recorded on 6.18, and the rules that were there: what
// is printed of them changes only where somebody means it to.
func TestOutputOfARecordingStays(t *testing.T) {
	t.Chdir("testdata/golden")
	rules := "--rules legacy.rules --rules iptables.rules --rules nft.rules"
	for name, args := range map[string]string{
		"read-text":        "read drops.pcapng",
		"read-json":        "read drops.pcapng --json",
		"read-tcpdump":     "read drops.pcapng --output tcpdump -ttttt",
		"read-filtered":    "read drops.pcapng --table filter --proto tcp --no-why",
		"read-lines":       "read drops.json",
		"explain-reject":   "explain " + rules + " --in eth0 --src 192.0.2.66 --dst 192.0.2.3 --proto tcp --dport 22 --trace",
		"explain-legacy":   "explain " + rules + " --in eth0 --src 192.0.2.1 --dst 192.0.2.2 --proto tcp --dport 8080",
		"explain-json":     "explain " + rules + " --in eth0 --src 192.0.2.1 --dst 192.0.2.2 --proto tcp --dport 5432 --json",
		"explain-ip6":      "explain " + rules + " --in eth0 --src 2001:db8::1 --dst 2001:db8::2 --proto tcp --dport 8080",
		"explain-drops":    "explain " + rules + " --drops drops.json",
		"explain-drops-js": "explain " + rules + " --drops drops.json --json",
		"doctor-legacy":    "doctor --rules legacy.rules",
		"doctor-iptables":  "doctor --rules iptables.rules",
		"doctor-nft":       "doctor --rules nft.rules",
		"doctor-json":      "doctor --json " + rules,
	} {
		t.Run(name, func(t *testing.T) {
			got := printed(t, strings.Fields("droptrace "+args))
			golden := name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// printed returns standard output and, after it, standard error. The time at
// which a question was answered is left out.
func printed(t *testing.T, args []string) string {
	t.Helper()
	dir := t.TempDir()
	create := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	term := console.Terminal{Stdout: create("out"), Stderr: create("err"), Zone: time.UTC,
		Getenv: func(name string) string { return map[string]string{"LC_ALL": "C.UTF-8"}[name] }}
	run(args, term, nil)
	var all []byte
	for _, f := range []*os.File{term.Stdout, term.Stderr} {
		f.Close()
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	answered := regexp.MustCompile(`("type":"(?:explanation|doctor)","schema":\d+,)"time":"[^"]*",`)
	elapsed := regexp.MustCompile(`(rules looked at|not by rules) · [0-9.]+ s`)
	return elapsed.ReplaceAllString(answered.ReplaceAllString(string(all), "$1"), "$1")
}
