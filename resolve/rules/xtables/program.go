package xtables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoProgram is returned where no iptables-legacy-save is installed.
var ErrNoProgram = errors.New("no iptables-legacy-save to list the rules with")

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

// newPrograms looks in the absolute directories of PATH, then where distributions
// put iptables and the PATH of sudo or cron may not lead.
func newPrograms(ns Namespace) programs {
	p := programs{ns: ns, timeout: programTimeout}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			p.dirs = append(p.dirs, dir)
		}
	}
	p.dirs = append(p.dirs, "/usr/sbin", "/sbin")
	return p
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

// saveProgram finds the program that lists legacy tables of the family.
func (p programs) saveProgram(ctx context.Context, family string) (string, error) {
	name := "iptables"
	if family == "ip6" {
		name = "ip6tables"
	}
	if path, ok := p.find(name + "-legacy-save"); ok {
		return path, nil
	}
	// Where a distribution has only one of the two, the plain name is that one.
	// -V tells which since 1.8: `iptables-save v1.8.9 (legacy)`. The nf_tables
	// one must not list: it may load modules.
	if path, ok := p.find(name + "-save"); ok {
		version, err := p.run(ctx, nil, path, "-V")
		if ctx.Err() != nil {
			return "", err
		}
		if err == nil && bytes.Contains(version, []byte("(legacy)")) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: no %s-legacy-save", ErrNoProgram, name)
}

// run runs a program inside the namespace and returns its output. The program
// gets no input, no open files and no environment but the C locale, and is
// killed when ctx ends. check, which may be nil, runs inside the namespace right
// before the program would; where it fails the program is not run.
func (p programs) run(ctx context.Context, check func() error, path string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // for a child of its own that keeps a pipe
	stdout, stderr := &head{max: maxListing}, &head{max: maxStderr}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// Only the fork has to happen inside: the child stays there.
	err := p.ns.Do(func() error {
		if check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		if err := keepFiles(); err != nil {
			return err
		}
		return cmd.Start()
	})
	if err == nil {
		err = cmd.Wait()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("run %s: %w", path, ctx.Err())
	case err != nil && len(stderr.buf) > 0:
		return nil, fmt.Errorf("run %s %s: %w: %q", path, strings.Join(args, " "), err, bytes.TrimSpace(stderr.buf))
	case err != nil:
		return nil, fmt.Errorf("run %s %s: %w", path, strings.Join(args, " "), err)
	case stdout.cut:
		return nil, fmt.Errorf("run %s %s: more than %d MiB of output", path, strings.Join(args, " "), maxListing>>20)
	}
	return stdout.buf, nil
}

// keepFiles has no file of this process pass to a program that it starts. Go
// opens all files so, but a shell or a supervisor may have left it others.
func keepFiles() error {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name.Name())
		if err != nil || fd <= 2 {
			continue
		}
		// It may have been closed meanwhile: nothing to keep then.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags|unix.FD_CLOEXEC)
		}
	}
	return nil
}

// head keeps the first bytes written to it.
type head struct {
	max int
	buf []byte
	cut bool // there were more
}

func (h *head) Write(p []byte) (int, error) {
	kept := min(len(p), h.max-len(h.buf))
	h.buf = append(h.buf, p[:kept]...)
	h.cut = h.cut || kept < len(p)
	return len(p), nil
}
