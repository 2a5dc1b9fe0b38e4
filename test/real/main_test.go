// Package real installs what `make release` builds as people do: with the package
// managers themselves, in trees of their distributions and in roots of their own, and
// runs it there. Nothing of this machine is changed.
package real

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/test/nstest"
)

const version = "1.2.3-rc1"

// dist has the release of this machine's architecture, built once for all tests.
var dist string

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 { // it makes roots of other distributions
		fmt.Println("skipped: root")
		os.Exit(0)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "real:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "droptrace-real-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	dist = filepath.Join(dir, "dist")
	build := exec.Command("scripts/release", version, dist, runtime.GOARCH)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build a release: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// only is the one file of the release with that ending.
func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dist, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %q %v", pattern, found, err)
	}
	return found[0]
}

// command runs to its end, five minutes at most, and returns what it printed on
// standard output.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String()
}

// namespace is a network namespace of the test's own, with its loopback up.
func namespace(t *testing.T) string {
	t.Helper()
	name := nstest.Name("dt-real-")
	nstest.Named(t, name)
	command(t, "ip", "-n", name, "link", "set", "lo", "up")
	return name
}
