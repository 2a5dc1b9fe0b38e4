package iptables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func (t *table) newChain(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("-N needs a chain: %w", ErrSyntax)
	}
	const longest = 28 // XT_EXTENSION_MAXNAMELEN - 1
	name := args[0]
	if name == "" || len(name) > longest || strings.ContainsAny(name, " \t") || strings.ContainsRune("-!", rune(name[0])) {
		return fmt.Errorf("%q is no name for a chain: %w", clip(name), ErrSyntax)
	}
	_, err := t.addChain(name, "")
	return err
}

func (t *table) setPolicy(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("-P needs a chain and a policy: %w", ErrSyntax)
	}
	policy := strings.ToLower(args[1])
	if policy != "accept" && policy != "drop" {
		return fmt.Errorf("%q is no policy: %w", clip(args[1]), ErrSyntax)
	}
	c := t.chains[args[0]]
	if c == nil {
		return fmt.Errorf("chain %q: %w", clip(args[0]), ErrNoChain)
	}
	if !c.IsBase() {
		return fmt.Errorf("chain %q is not built in and has no policy: %w", clip(args[0]), ErrSyntax)
	}
	c.Policy = policy
	return nil
}

func (t *table) flush(args []string) error {
	if len(args) == 0 {
		for _, c := range t.Chains {
			c.Rules = nil
		}
		return nil
	}
	c := t.chains[args[0]]
	if c == nil {
		return fmt.Errorf("chain %q: %w", clip(args[0]), ErrNoChain)
	}
	c.Rules = nil
	return nil
}

// deleteChains deletes one, or all that iptables has not built in.
func (t *table) deleteChains(args []string) error {
	var doomed []*ruleset.Chain
	if len(args) > 0 {
		c := t.chains[args[0]]
		if c == nil {
			return fmt.Errorf("chain %q: %w", clip(args[0]), ErrNoChain)
		}
		if c.IsBase() {
			return fmt.Errorf("chain %q is built in: %w", c.Name, ErrSyntax)
		}
		doomed = append(doomed, c)
	} else {
		for _, c := range t.Chains {
			if !c.IsBase() {
				doomed = append(doomed, c)
			}
		}
	}
	for _, c := range doomed {
		if len(c.Rules) > 0 {
			return fmt.Errorf("chain %q has rules: %w", c.Name, ErrInUse)
		}
		if by := t.jumper(c); by != nil {
			return fmt.Errorf("chain %q: rule %d of %q jumps there: %w", c.Name, by.Number, by.Chain.Name, ErrInUse)
		}
	}
	for _, c := range doomed {
		delete(t.chains, c.Name)
	}
	t.Chains = slices.DeleteFunc(t.Chains, func(c *ruleset.Chain) bool { return slices.Contains(doomed, c) })
	return nil
}

// jumper is a rule that leads to the chain.
func (t *table) jumper(to *ruleset.Chain) *ruleset.Rule {
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			for _, s := range r.Statements {
				if v, ok := s.(*ruleset.Verdict); ok && v.Target == to {
					return r
				}
			}
		}
	}
	return nil
}

func (t *table) rename(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("-E needs two names: %w", ErrSyntax)
	}
	c := t.chains[args[0]]
	if c == nil {
		return fmt.Errorf("chain %q: %w", clip(args[0]), ErrNoChain)
	}
	if t.chains[args[1]] != nil {
		return fmt.Errorf("chain %q: %w", clip(args[1]), ErrExists)
	}
	if c.IsBase() {
		return fmt.Errorf("chain %q is built in: %w", c.Name, ErrSyntax)
	}
	delete(t.chains, c.Name)
	c.Name = args[1]
	t.chains[c.Name] = c
	return nil
}
