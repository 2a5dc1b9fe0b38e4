package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrNotInstalled is returned where none of the directories has the program.
var ErrNotInstalled = errors.New("program is not installed")

// NotInstalledError names a program that none of the directories has. It is an
// [ErrNotInstalled].
type NotInstalledError struct {
	Program string
}

func (e *NotInstalledError) Error() string { return e.Program + ": " + ErrNotInstalled.Error() }

// Is implements errors.Is.
func (e *NotInstalledError) Is(target error) bool { return target == ErrNotInstalled }

// ErrTooMuch is returned for a program that printed more than [MaxOutput].
var ErrTooMuch = fmt.Errorf("more than %d MiB of output", MaxOutput>>20)

const (
	// MaxOutput bounds what is read of a program's output, in bytes: 100,000 rules
	// are about 10 MB.
	MaxOutput = 64 << 20

	defaultTimeout = 10 * time.Second
	maxStderr      = 16 << 10
)

// Namespace is a network namespace to run in.
type Namespace interface {
	// Do runs fn on a thread that is inside the namespace.
	Do(fn func() error) error
}

// Runner runs programs. The zero value is ready to use.
type Runner struct {
	// Dirs are the directories where programs are looked for, in order; those of
	// [Dirs] where nil.
	Dirs []string
	// Timeout ends a program; 10 s where 0.
	Timeout time.Duration
}

// Command is one run of a program.
type Command struct {
	// Path is the program's, as [Runner.Find] returns it.
	Path string
	Args []string
	// Input is the program's standard input, nothing where nil.
	Input io.Reader
	// Env is added to a PATH and the C locale, which are all of its environment.
	Env []string
	// Namespace that the program runs in, with CAP_NET_ADMIN and CAP_NET_RAW. nil is
	// droptrace's own, without them.
	Namespace Namespace
	// Check, where not nil, runs inside the namespace right before the program would;
	// where it fails the program is not run, and that is the error.
	Check func() error
}

// Error is a program that ended with an error.
type Error struct {
	Command Command
	Stderr  string // the first 16 KiB of what it said, untrimmed
	Err     error  // how it ended: an *exec.ExitError, or why it could not be waited for
}

func (e *Error) Error() string {
	text := fmt.Sprintf("run %s: %v", strings.Join(append([]string{e.Command.Path}, e.Command.Args...), " "), e.Err)
	if said := strings.TrimSpace(e.Stderr); said != "" {
		text += fmt.Sprintf(": %q", said)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Dirs are where distributions install the programs. They are those of the root that
// droptrace itself runs in, and PATH has no say: it is the caller's.
func Dirs() []string {
	return []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/run/current-system/sw/bin"}
}

// Find is the path of an installed program. The error is a
// [*NotInstalledError].
func (r Runner) Find(name string) (string, error) {
	dirs := r.Dirs
	if dirs == nil {
		dirs = Dirs()
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &NotInstalledError{Program: name}
}

// Run runs the program to its end and returns what it printed. The error is an
// [*Error] where the program failed, [ErrTooMuch], the context's, or that of
// Namespace and Check.
func (r Runner) Run(ctx context.Context, c Command) (stdout []byte, err error) {
	err = r.Stream(ctx, c, func(out io.Reader) (err error) {
		stdout, err = io.ReadAll(io.LimitReader(out, MaxOutput+1))
		if err == nil && len(stdout) > MaxOutput {
			err = ErrTooMuch
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return stdout, nil
}

// Stream is Run for output that parse reads while the program runs, up to [MaxOutput].
// The program is killed where parse fails, whose error is then returned.
func (r Runner) Stream(ctx context.Context, c Command, parse func(io.Reader) error) error {
	timeout := r.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stderr := &head{max: maxStderr}
	p, err := start(ctx, c, timeout, stderr)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("run %s: %w", c.Path, err)
	}
	parseErr := parse(io.LimitReader(p.stdout, MaxOutput+1))
	if parseErr != nil {
		cancel()
	} else {
		// A program that ends early must not wait for a reader.
		_, _ = io.Copy(io.Discard, p.stdout)
	}
	err = p.wait()
	switch {
	case parseErr != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("read output of %s: %w", c.Path, parseErr)
	case ctx.Err() != nil:
		return fmt.Errorf("run %s: %w", c.Path, ctx.Err())
	case err != nil:
		return &Error{Command: c, Stderr: string(bytes.Clone(stderr.buf)), Err: err}
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
