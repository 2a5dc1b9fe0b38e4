// Package whatif makes changes to rules in a copy of them, never in the rules
// themselves.
//
// The copy is a namespace of our own where that can be, so that the real programs take
// the commands; else, for commands of iptables, it is the model.
package whatif

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/scratch"
)

// CommandError is returned for a command that changes no rules, or that its program
// or the model refused.
type CommandError struct {
	Command string
	Err     error
}

func (e *CommandError) Error() string { return fmt.Sprintf("%q: %v", e.Command, e.Err) }

// Unwrap returns Err.
func (e *CommandError) Unwrap() error { return e.Err }

// Rules are those that a change is asked of.
type Rules struct {
	*rules.Rules
	// Handle is the namespace that they were read from; nil for Files.
	Handle *netns.Handle
	// Own: it is the one that droptrace is in.
	Own   bool
	Files []string
	// Indexes of interfaces by name, as the rules have them.
	Indexes map[string]uint32
}

// Changed are rules after a change.
type Changed struct {
	*rules.Rules
	Indexes map[string]uint32
	// Unchecked is what kept the real programs from taking the commands, where the
	// change was made in the model alone.
	Unchecked error
}

// Change makes the changes of commands of iptables, nft and ipset, one after another.
// The error is a [CommandError], or one of package scratch where no copy can be made
// and a command is not iptables'.
func (r *Rules) Change(ctx context.Context, commands []string) (*Changed, error) {
	for _, command := range commands {
		words, err := splitWords(command)
		if err == nil {
			err = scratch.Check(words)
		}
		if err != nil {
			return nil, &CommandError{command, err}
		}
	}
	changed, err := r.inCopy(ctx, commands)
	if _, refused := errors.AsType[*CommandError](err); err == nil || refused {
		return changed, err
	}
	for _, command := range commands {
		if !iptables.IsCommand(command) {
			return nil, err
		}
	}
	return r.inModel(commands, err)
}

// inCopy loads a copy of the rules into a namespace of our own, runs the commands
// there, and reads what came of it.
func (r *Rules) inCopy(ctx context.Context, commands []string) (*Changed, error) {
	n, err := scratch.New(ctx)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	if err := r.load(ctx, n); err != nil {
		return nil, fmt.Errorf("copy the rules: %w", err)
	}
	for _, command := range commands {
		if err := run(ctx, n, command); err != nil {
			return nil, err
		}
	}
	copied, err := rules.Read(ctx, n.Handle)
	if err != nil {
		return nil, fmt.Errorf("read the changed copy: %w", err)
	}
	devices, err := n.Devices()
	if err != nil {
		return nil, err
	}
	indexes := make(map[string]uint32)
	if r.Handle != nil {
		maps.Copy(indexes, r.Indexes) // a copy keeps them
	}
	for index, name := range devices {
		indexes[name] = index
	}
	return &Changed{
		Rules: &rules.Rules{List: []*ruleset.Ruleset{copied.WithTexts(ctx)}}, Indexes: indexes,
	}, nil
}

func run(ctx context.Context, n *scratch.Namespace, command string) error {
	words, err := splitWords(command)
	if err != nil {
		return err
	}
	_, err = n.Run(ctx, words)
	if _, said := errors.AsType[*scratch.ProgramError](err); said {
		return &CommandError{command, err}
	}
	return err
}

// inModel makes the commands' changes on the model alone. why says what kept the real
// programs from it.
func (r *Rules) inModel(commands []string, why error) (*Changed, error) {
	list := append([]*ruleset.Ruleset(nil), r.List...)
	if len(list) == 0 {
		list = append(list, &ruleset.Ruleset{})
	}
	for _, command := range commands {
		var err error
		if list, err = applyTo(list, command); err != nil {
			return nil, &CommandError{command, err}
		}
	}
	return &Changed{Rules: &rules.Rules{List: list, Model: r.Model}, Indexes: r.Indexes, Unchecked: why}, nil
}

// applyTo changes the one ruleset that the command is about: the first that has
// its table.
func applyTo(list []*ruleset.Ruleset, command string) ([]*ruleset.Ruleset, error) {
	var failed error
	for i, rs := range list {
		changed, err := iptables.Apply(rs, command, iptables.Options{})
		if err == nil {
			out := append([]*ruleset.Ruleset(nil), list...)
			out[i] = changed
			return out, nil
		}
		if failed == nil || !errors.Is(err, iptables.ErrNoTable) && !errors.Is(err, iptables.ErrNoChain) {
			failed = err
		}
	}
	return nil, failed
}
