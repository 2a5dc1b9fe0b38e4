package explain

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/scratch"
)

// changed is a subject after a change that was made in a copy.
type changed struct {
	*subject
	notes []string
}

// device is an interface as the copy knows it.
func (c *changed) device(i replay.Interface) replay.Interface {
	if i.Name != "" {
		i.Index = c.index(i.Name)
	}
	return i
}

// change makes the commands' changes in a copy of the rules and reads them back:
// in a namespace of our own where that can be, so that the real programs take the
// command; else, for commands of iptables, on the model.
func (s *subject) change(ctx context.Context, commands []string) (*changed, error) {
	for _, command := range commands {
		words, err := shellSplit(command)
		if err == nil {
			err = scratch.Check(words)
		}
		if err != nil {
			return nil, console.BadUsage(fmt.Errorf("--with %q: %w", command, err))
		}
	}
	c, err := s.changeCopy(ctx, commands)
	if err == nil {
		return c, nil
	}
	if said, ok := errors.AsType[*commandError](err); ok {
		return nil, console.BadUsage(said)
	}
	for _, command := range commands {
		if !iptables.IsCommand(command) {
			return nil, console.ScratchFailed("--with", err)
		}
	}
	return s.changeModel(commands, err)
}

// commandError is a command that the program itself refused.
type commandError struct {
	command string
	err     error
}

func (e *commandError) Error() string { return fmt.Sprintf("--with %q: %v", e.command, e.err) }
func (e *commandError) Unwrap() error { return e.err }

// changeCopy loads a copy of the rules into a namespace of our own, runs the
// commands there, and reads what came of it.
func (s *subject) changeCopy(ctx context.Context, commands []string) (*changed, error) {
	n, err := scratch.New(ctx)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	if err := s.load(ctx, n); err != nil {
		return nil, fmt.Errorf("copy the rules: %w", err)
	}
	for _, command := range commands {
		words, err := shellSplit(command)
		if err != nil {
			return nil, err
		}
		if _, err := n.Run(ctx, words); err != nil {
			if _, said := errors.AsType[*scratch.ProgramError](err); said {
				return nil, &commandError{command, err}
			}
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
	after := *s
	after.indexes = make(map[string]uint32)
	if s.handle != nil {
		maps.Copy(after.indexes, s.indexes) // a copy keeps them
	}
	for index, name := range devices {
		after.indexes[name] = index
	}
	after.rules = &rules.Rules{List: []*ruleset.Ruleset{copied.WithTexts(ctx)}}
	return &changed{subject: &after}, nil
}

// changeModel makes the commands' changes on the model alone. why says what kept
// the real programs from it.
func (s *subject) changeModel(commands []string, why error) (*changed, error) {
	list := append([]*ruleset.Ruleset(nil), s.rules.List...)
	if len(list) == 0 {
		list = append(list, &ruleset.Ruleset{})
	}
	for _, command := range commands {
		var err error
		if list, err = applyTo(list, command); err != nil {
			return nil, console.BadUsage(fmt.Errorf("--with %q: %w", command, err))
		}
	}
	after := *s
	after.rules = &rules.Rules{List: list, Model: s.rules.Model}
	c := &changed{subject: &after}
	if s.handle != nil {
		c.notes = append(c.notes, "the change was read by droptrace, not by iptables: "+why.Error())
	}
	return c, nil
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
