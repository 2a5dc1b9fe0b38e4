package nftables

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/droptrace/droptrace/resolve/host/program"
)

// ErrNoProgram is returned where no installed program can show the rule's text.
var ErrNoProgram = errors.New("no program to list the rule with")

// errWouldLoad is an [ErrNoProgram] for a program that is there, but must not be run.
var errWouldLoad = fmt.Errorf("%w: iptables would load nft_compat", ErrNoProgram)

// programs runs listing programs inside a namespace.
type programs struct {
	ns Namespace
	program.Runner
}

// find is the path of an executable.
func (p programs) find(name string) (string, bool) {
	path, err := p.Find(name)
	return path, err == nil
}

// run starts a program inside the namespace and gives its output to parse.
func (p programs) run(ctx context.Context, parse func(io.Reader) error, path string, args ...string) error {
	return p.Stream(ctx, program.Command{Path: path, Args: args, Namespace: p.ns}, parse)
}

// OtherVersionError is an nft that lists a chain otherwise than the kernel has it. It
// leaves out rules with expressions that it does not know, silently (1.0.6 of 1.1.7's
// `vxlan ip saddr`).
type OtherVersionError struct {
	Version string // nft's, as it says it; may be empty
	Err     error
}

func (e *OtherVersionError) Error() string {
	return strings.TrimSpace("nft "+e.Version) + ": " + e.Err.Error()
}

func (e *OtherVersionError) Unwrap() error { return e.Err }

// otherVersion asks nft for its version: "nftables v1.0.6 (Lester Gooch #5)".
func (p programs) otherVersion(ctx context.Context, path string, err error) error {
	out := &OtherVersionError{Err: err}
	_ = p.run(ctx, func(r io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(r, 1<<10))
		if words := strings.Fields(string(text)); len(words) > 1 {
			out.Version = strings.TrimPrefix(words[1], "v")
		}
		return err
	}, path, "--version") // without it the rest is said
	return out
}
