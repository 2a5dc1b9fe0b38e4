package nftables

import (
	"context"
	"errors"
	"io"

	"github.com/droptrace/droptrace/resolve/host/program"
)

// ErrNoProgram is returned where no installed program can show the rule's text.
var ErrNoProgram = errors.New("no program to list the rule with")

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
