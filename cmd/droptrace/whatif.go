package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/resolve/iptables"
	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
)

// changed is a subject after a change that was made in a copy.
type changed struct {
	*subject
	notes []string
	free  func()
}

func (c *changed) close() {
	if c.free != nil {
		c.free()
	}
}

// device is an interface as the copy knows it.
func (c *changed) device(i replay.Interface) replay.Interface {
	if i.Name == "" {
		return i
	}
	var ok bool
	if i.Index, ok = c.indexes[i.Name]; !ok {
		i.Index = noIndex
	}
	return i
}

// change makes the commands' changes on the model alone: what iptables would do.
func (s *subject) change(ctx context.Context, commands []string) (*changed, error) {
	list := append([]*ruleset.Ruleset(nil), s.rules.list...)
	for _, command := range commands {
		if !iptables.IsCommand(command) {
			return nil, badUsage(fmt.Errorf("--with %q is no command of iptables", command))
		}
		if len(list) == 0 {
			list = append(list, &ruleset.Ruleset{})
		}
		var err error
		if list, err = applyTo(list, command); err != nil {
			return nil, badUsage(fmt.Errorf("--with %q: %w", command, err))
		}
	}
	after := *s
	after.rules = &rulesets{list: list, model: s.rules.model}
	return &changed{subject: &after}, nil
}

// applyTo changes the one ruleset that the command is about: the first that has
// its table, else the first.
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
