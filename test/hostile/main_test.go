// Package hostile has root of a container attack droptrace on the host: names,
// comments and prefixes that no tool would take are written by raw netlink, and every
// command that reads them must leave the host as it is.
package hostile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var droptrace string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	droptrace = os.Getenv("DROPTRACE")
	if droptrace == "" {
		dir, err := os.MkdirTemp("", "droptrace-hostile-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		droptrace = filepath.Join(dir, "droptrace")
		build := exec.Command("go", "build", "-o", droptrace, "github.com/droptrace/droptrace/cmd/droptrace")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build droptrace: %w\n%s", err, out)
		}
	}
	return m.Run(), nil
}
