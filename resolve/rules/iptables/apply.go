package iptables

import (
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Apply makes the change that a command would make, and returns a ruleset that
// shares with rs what did not change; rs stays as it is. The command is
// `iptables [-t table] -A|-I|-D|-R|-P|-N|-X|-F|-E …`, quoted as for a shell, with
// sudo before it or not. ip6tables changes the tables of ip6; iptables-nft and
// iptables-legacy those of their engine, plain iptables those that are there.
//
// A table or built-in chain that is not there is made, as iptables does. Hosts
// are not looked up. The error is [ErrSyntax] or one of the others of this
// package; only what iptables itself would check against the kernel is not.
func Apply(rs *ruleset.Ruleset, command string, o Options) (*ruleset.Ruleset, error) {
	words, err := splitCommand(command)
	if err != nil {
		return nil, err
	}
	c, err := parseCommand(words)
	if err != nil {
		return nil, err
	}
	changed, t, err := c.copyTable(rs)
	if err != nil {
		return nil, err
	}
	if err := newTable(t, o.Sets, Filled(texts(rs))).command(c.words); err != nil {
		return nil, fmt.Errorf("%s: table %s: %w", c.program, c.table, err)
	}
	sortChains(t)
	return changed, nil
}

// texts are the texts of all rules.
func texts(rs *ruleset.Ruleset) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					if !yield(r.Text) {
						return
					}
				}
			}
		}
	}
}

// IsCommand reports whether the command is one for [Apply], by its program.
func IsCommand(command string) bool {
	words, err := splitCommand(command)
	if err != nil {
		return false
	}
	_, err = parseCommand(words)
	return err == nil
}

// command is one of iptables'.
type command struct {
	program string
	family  string
	engine  ruleset.Engine // empty for plain iptables
	table   string
	words   []word // without program, -t and what has no say
}

func parseCommand(words []word) (*command, error) {
	for len(words) > 0 && words[0].text == "sudo" {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("no command: %w", ErrSyntax)
	}
	c := &command{program: path.Base(words[0].text), table: "filter"}
	name := c.program
	c.family = "ip"
	if rest, ok := strings.CutPrefix(name, "ip6tables"); ok {
		c.family, name = "ip6", "iptables"+rest
	}
	switch name {
	case "iptables":
	case "iptables-nft":
		c.engine = ruleset.IPTablesNFT
	case "iptables-legacy":
		c.engine = ruleset.IPTablesLegacy
	default:
		return nil, fmt.Errorf("%q is no iptables: %w", clip(c.program), ErrSyntax)
	}
	return c, c.options(words[1:])
}

// options takes out what is said to the program rather than of the rule.
func (c *command) options(words []word) error {
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w.quoted || i > 0 && takesArgument(words[i-1]) {
			c.words = append(c.words, w)
			continue
		}
		name, value, joined := strings.Cut(w.text, "=")
		switch {
		case w.text == "-4" || w.text == "--ipv4":
			c.family = "ip"
		case w.text == "-6" || w.text == "--ipv6":
			c.family = "ip6"
		case w.text == "-w" || name == "--wait" || w.text == "-W" || name == "--wait-interval":
			if !joined && i+1 < len(words) && strings.Trim(words[i+1].text, "0123456789") == "" {
				i++
			}
		case w.text == "-v" || w.text == "--verbose" || w.text == "-n" || w.text == "--numeric":
		case w.text == "-t", name == "--table" && !joined:
			if i++; i == len(words) {
				return fmt.Errorf("-t needs a table: %w", ErrSyntax)
			}
			c.table = words[i].text
		case name == "--table":
			c.table = value
		default:
			c.words = append(c.words, w)
		}
	}
	if builtins(ruleset.IPTablesNFT, c.table) == nil {
		return fmt.Errorf("table %q: %w", clip(c.table), ErrNoTable)
	}
	return nil
}

// copyTable returns rs with a table of its own for the command to change.
func (c *command) copyTable(rs *ruleset.Ruleset) (*ruleset.Ruleset, *ruleset.Table, error) {
	engine, err := c.engineIn(rs)
	if err != nil {
		return nil, nil, err
	}
	changed := *rs
	changed.Tables = slices.Clone(rs.Tables)
	var t *ruleset.Table
	for i, old := range rs.Tables {
		if old.Engine == engine && old.Family == c.family && old.Name == c.table {
			t = Copy(old)
			changed.Tables[i] = t
		}
	}
	if t == nil {
		t = &ruleset.Table{Engine: engine, Family: c.family, Name: c.table}
		changed.Tables = append(changed.Tables, t)
	}
	for _, b := range builtins(engine, c.table) {
		if !slices.ContainsFunc(t.Chains, func(x *ruleset.Chain) bool { return x.Name == b.name }) {
			t.Chains = append(t.Chains, newChain(t, b.name, "accept"))
		}
	}
	return &changed, t, nil
}

// engineIn tells which tables plain iptables means: those that are there.
func (c *command) engineIn(rs *ruleset.Ruleset) (ruleset.Engine, error) {
	if c.engine != "" {
		return c.engine, nil
	}
	found := ruleset.Engine("")
	for _, t := range rs.Tables {
		if t.Family != c.family || t.Engine == ruleset.NFTables {
			continue
		}
		if found != "" && found != t.Engine {
			return "", fmt.Errorf("both iptables-nft and iptables-legacy have tables, say which for %s: %w", c.program, ErrSyntax)
		}
		found = t.Engine
	}
	if found == "" {
		found = ruleset.IPTablesNFT
	}
	return found, nil
}
