package nftables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrNoProgram is returned where no installed program can show the rule's text.
var ErrNoProgram = errors.New("no program to list the rule with")

const (
	programTimeout = 5 * time.Second
	// maxListing bounds what is read of a program's output, in bytes: 100,000
	// rules are about 10 MB.
	maxListing = 64 << 20
	maxStderr  = 4 << 10
)

// programs runs listing programs inside a namespace.
type programs struct {
	ns      Namespace
	dirs    []string // where they are looked for, in order
	timeout time.Duration
}

// programDirs are the absolute directories of PATH, then those where
// distributions put nft and iptables and that the PATH of sudo or cron may lack.
func programDirs() []string {
	var dirs []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return append(dirs, "/usr/sbin", "/sbin")
}

// find is the path of an executable.
func (p programs) find(name string) (string, bool) {
	for _, dir := range p.dirs {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, true
		}
	}
	return "", false
}

// run starts a program inside the namespace and gives its output to parse. The
// program gets no input, no open files and no environment but the C locale, and
// is killed after a timeout, when ctx ends, or when parse fails.
func (p programs) run(ctx context.Context, parse func(io.Reader) error, path string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()

	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // for a child of its own that keeps the pipe
	stderr := &head{max: maxStderr}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	// Only the fork has to happen inside: the child stays there.
	if err := p.ns.Do(cmd.Start); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	parseErr := parse(io.LimitReader(stdout, maxListing))
	if parseErr != nil {
		cancel()
	} else {
		// A program that ends early must not wait for a reader.
		io.Copy(io.Discard, stdout)
	}
	err = cmd.Wait()
	switch {
	case parseErr != nil && ctx.Err() != context.DeadlineExceeded:
		return fmt.Errorf("read output of %s: %w", path, parseErr)
	case ctx.Err() != nil:
		return fmt.Errorf("run %s: %w", path, ctx.Err())
	case err != nil:
		return fmt.Errorf("run %s %s: %w: %s", path, strings.Join(args, " "), err, bytes.TrimSpace(stderr.buf))
	}
	return nil
}

// head keeps the first bytes written to it.
type head struct {
	max int
	buf []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.buf = append(h.buf, p[:min(len(p), h.max-len(h.buf))]...)
	return len(p), nil
}
