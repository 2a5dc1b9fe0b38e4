package console

import (
	"context"
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/resolve/host/distribution"
	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/scratch"
)

// ReadRules reads files of rules, for who may make no namespace in a process that
// is root of its own.
func ReadRules(ctx context.Context, names []string) (*rules.Rules, map[string]uint32, error) {
	r, indexes, err := rules.ReadFiles(ctx, names)
	failed, ok := errors.AsType[*rules.FileError](err)
	if ok && errors.Is(err, scratch.ErrPrivilege) && failed.Name != "-" { // standard input cannot be read again
		code, e := scratch.Again(ctx)
		if e == nil {
			return nil, nil, Answered{code}
		}
		if !errors.Is(e, scratch.ErrPrivilege) {
			err = &rules.FileError{Name: failed.Name, Err: e}
		}
	}
	if errors.Is(err, rules.ErrNoRules) {
		err = WithHint(err, "want what iptables-save, ip6tables-save or nft list ruleset print")
	}
	return r, indexes, scratchHints(err)
}

// ScratchFailed says what to do where the copy could not be made.
func ScratchFailed(name string, err error) error {
	return scratchHints(fmt.Errorf("%s: %w", name, err))
}

func scratchHints(err error) error {
	switch {
	case errors.Is(err, scratch.ErrUserNamespace), errors.Is(err, scratch.ErrPrivilege):
		return WithHint(err, "nft reads its file in a namespace of droptrace's own, which this user may not make: run it as root",
			"files of iptables-save need no root")
	case errors.Is(err, scratch.ErrNoProgram):
		return WithHint(err, installHints(err)...)
	case errors.Is(err, scratch.ErrModule):
		return WithHint(err, "droptrace loads no modules by itself: load them, or ask on the machine that the rules are from")
	}
	return err
}

// installHints says how a program that is missing is installed here.
func installHints(err error) []string {
	if e, ok := errors.AsType[*program.NotInstalledError](err); ok {
		return []string{distribution.Here().Install(e.Program)}
	}
	return nil
}
