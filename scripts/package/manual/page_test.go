package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/app"
	"github.com/droptrace/droptrace/cmd/droptrace/console"
)

// plain undoes what the macros and escapes are, so that a page can be held against
// --help.
func plain(roff string) string {
	roff = regexp.MustCompile(`\\f[BIR]|\\&`).ReplaceAllString(roff, "")
	roff = regexp.MustCompile(`\\\[u2026\]`).ReplaceAllString(roff, "…")
	return strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\e`, `\`, `\(dq`, `"`).Replace(roff)
}

// Every line of every --help is on its page, and each flag where --help has it.
func TestPagesSayWhatHelpSays(t *testing.T) {
	a := app.New(console.Terminal{}, nil)
	helps := []string{console.HelpText(a)}
	for _, c := range a.Commands {
		helps = append(helps, console.CommandHelp(c))
	}
	list := pages(a)
	if len(list) != len(helps) {
		t.Fatalf("%d pages of %d commands", len(list), len(helps))
	}
	for i, p := range list {
		words := strings.Join(strings.Fields(plain(p.roff("1", time.Unix(0, 0)))), " ")
		for line := range strings.Lines(helps[i]) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "Usage:") {
				continue
			}
			line, _, _ = strings.Cut(line, "Exit codes:")
			if j := strings.Index(helps[i], "Exit codes:"); j >= 0 && strings.Contains(strings.SplitN(helps[i][j:], "\n\n", 2)[0], line) {
				continue // that paragraph is a section of its own
			}
			line = strings.TrimSuffix(line, ":")
			if want := strings.Join(strings.Fields(line), " "); !strings.Contains(words, want) {
				t.Errorf("%s lacks %q", p.name, want)
			}
		}
	}
}

func TestExitCodesAreASection(t *testing.T) {
	rest, codes := exitCodes("Says.\n\nExit codes: 0 nothing amiss, 1 failed, or nothing\namiss in 2 files, 2 bad usage.")
	want := []string{"0 nothing amiss", "1 failed, or nothing amiss in 2 files", "2 bad usage"}
	if rest != "Says.\n" || strings.Join(codes, "|") != strings.Join(want, "|") {
		t.Errorf("%q, %q, want %q", rest, codes, want)
	}
}

func TestManHasNoWarnings(t *testing.T) {
	dir := t.TempDir()
	if err := write(dir, "1.2.3", time.Unix(1700000000, 0)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.8"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		cmd := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", f)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANROFFSEQ=", "MANWIDTH=80")
		var warnings strings.Builder
		cmd.Stderr = &warnings
		if err := cmd.Run(); err != nil || warnings.Len() > 0 {
			t.Errorf("%s: %v %s", filepath.Base(f), err, warnings.String())
		}
	}
}
