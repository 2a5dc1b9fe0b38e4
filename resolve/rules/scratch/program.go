package scratch

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/host/program"
)

// ErrNoProgram is returned where a program is not installed; the error is a
// [*program.NotInstalledError].
var ErrNoProgram = program.ErrNotInstalled

// programTimeout is enough for iptables-restore with 100,000 rules.
const programTimeout = 30 * time.Second

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
	argv, err := n.handles.translate(argv)
	if err != nil {
		return "", fmt.Errorf("run nft: %w", err)
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

// find is the path of an installed program.
func (n *Namespace) find(name string) (string, error) {
	path, err := n.programs.Find(name)
	if err != nil {
		return "", err
	}
	return path, nil
}

// start runs a program inside, with the input.
func (n *Namespace) start(ctx context.Context, path string, args []string, input string) (string, error) {
	c := program.Command{
		Path: path, Args: args, Input: strings.NewReader(input), Namespace: n,
		// The lock of iptables-legacy is one file for all namespaces: nothing here
		// may wait for the machine's own programs, or they for this one.
		Env: []string{"XTABLES_LOCKFILE=/dev/null"},
	}
	out, err := n.programs.Run(ctx, c)
	if e, ok := errors.AsType[*program.Error](err); ok {
		return "", programError(filepath.Base(path), strings.TrimSpace(e.Stderr), e.Err)
	}
	return string(out), err
}
