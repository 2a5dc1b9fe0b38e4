package scratch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrNoProgram is returned where a program is not installed.
var ErrNoProgram = errors.New("program is not installed")

const (
	programTimeout = 30 * time.Second // iptables-restore with 100,000 rules
	maxOutput      = 64 << 20         // bytes
	maxMessage     = 16 << 10
)

// ProgramError is what a program said when it failed.
type ProgramError struct {
	Program string
	// Line of the input that it complains of, from 1; 0 where it names none.
	Line    int
	Message string // its own words, without the place
	Err     error  // how it ended
}

func (e *ProgramError) Error() string {
	message := e.Message
	if message == "" {
		message = e.Err.Error()
	}
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s (%s)", e.Line, message, e.Program)
	}
	return fmt.Sprintf("%s: %s", e.Program, message)
}

func (e *ProgramError) Unwrap() error { return e.Err }

// Run runs a command of nft, iptables, ip6tables or ipset inside the namespace, as it
// would be typed, if [Check] accepts it.
// What it prints is returned; where it fails the error is a [*ProgramError].
func (n *Namespace) Run(ctx context.Context, argv []string) (string, error) {
	if err := Check(argv); err != nil {
		return "", fmt.Errorf("run %q: %w", strings.Join(argv, " "), err)
	}
	path, err := n.find(filepath.Base(argv[0]))
	if err != nil {
		return "", err
	}
	if err := n.allowed(ctx, path, strings.Join(argv[1:], " ")); err != nil {
		return "", err
	}
	return n.withDevices(strings.Join(argv[1:], " "), func() (string, error) {
		return n.start(ctx, path, argv[1:], "")
	})
}

// find looks in the absolute directories of PATH, then where distributions put
// nft and iptables and that the PATH of users often lacks.
func (n *Namespace) find(name string) (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		path := filepath.Join(dir, name)
		if !filepath.IsAbs(path) {
			continue
		}
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("find %s: %w", name, ErrNoProgram)
}

// start runs a program inside, with the input and no environment but the C
// locale. It is killed when ctx ends.
func (n *Namespace) start(ctx context.Context, path string, args []string, input string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	// The lock of iptables-legacy is one file for all namespaces: nothing here
	// may wait for the machine's own programs, or they for this one.
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "XTABLES_LOCKFILE=/dev/null"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // for a child of its own that keeps a pipe
	cmd.Stdin = strings.NewReader(input)
	stdout, stderr := &head{max: maxOutput}, &head{max: maxMessage}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// Only the fork has to happen inside: the child stays there.
	err := n.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	name := filepath.Base(path)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", fmt.Errorf("run %s: %w", name, ctx.Err())
	case err != nil:
		return "", programError(name, string(bytes.TrimSpace(stderr.buf)), err)
	}
	return string(stdout.buf), nil
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
