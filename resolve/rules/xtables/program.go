package xtables

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/resolve/host/program"
)

// ErrNoProgram is returned where no iptables-legacy-save is installed.
var ErrNoProgram = errors.New("no iptables-legacy-save to list the rules with")

// programs runs listing programs inside a namespace.
type programs struct {
	ns Namespace
	program.Runner
}

// saveProgram finds the program that lists legacy tables of the family.
func (p programs) saveProgram(ctx context.Context, family string) (string, error) {
	name := "iptables"
	if family == "ip6" {
		name = "ip6tables"
	}
	if path, err := p.Find(name + "-legacy-save"); err == nil {
		return path, nil
	}
	// Where a distribution has only one of the two, the plain name is that one.
	// -V tells which since 1.8: `iptables-save v1.8.9 (legacy)`. The nf_tables
	// one must not list: it may load modules.
	if path, err := p.Find(name + "-save"); err == nil {
		version, err := p.run(ctx, nil, path, "-V")
		if ctx.Err() != nil {
			return "", err
		}
		if err == nil && bytes.Contains(version, []byte("(legacy)")) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %w", ErrNoProgram, &program.NotInstalledError{Program: name + "-legacy-save"})
}

// run runs a program inside the namespace and returns its output. check, which may be
// nil, runs there right before the program would; where it fails the program is not
// run.
func (p programs) run(ctx context.Context, check func() error, path string, args ...string) ([]byte, error) {
	return p.Run(ctx, program.Command{Path: path, Args: args, Namespace: p.ns, Check: check})
}
