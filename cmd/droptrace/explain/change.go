package explain

import (
	"context"
	"errors"
	"fmt"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/whatif"
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

// change makes the commands' changes in a copy of the rules.
func (s *subject) change(ctx context.Context, commands []string) (*changed, error) {
	from := whatif.Rules{Rules: s.rules, Handle: s.handle, Own: s.info.Own, Files: s.files, Indexes: s.indexes}
	result, err := from.Change(ctx, commands)
	if _, refused := errors.AsType[*whatif.CommandError](err); refused {
		return nil, console.BadUsage(fmt.Errorf("--with %w", err))
	}
	if err != nil {
		return nil, console.ScratchFailed("--with", err)
	}
	after := *s
	after.rules, after.indexes = result.Rules, result.Indexes
	c := &changed{subject: &after}
	if result.Unchecked != nil && s.handle != nil {
		c.notes = append(c.notes, "the change was read by droptrace, not by iptables: "+result.Unchecked.Error())
	}
	return c, nil
}
