package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/iptables"
	"github.com/droptrace/droptrace/resolve/netns"
	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
	"github.com/droptrace/droptrace/resolve/scratch"
)

// changed is a subject after a change that was made in a copy.
type changed struct {
	*subject
	notes []string
}

func (c *changed) close() {}

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
			err = knownProgram(words)
		}
		if err != nil {
			return nil, badUsage(fmt.Errorf("--with %q: %w", command, err), "want a command of iptables, ip6tables, nft or ipset")
		}
	}
	c, err := s.changeCopy(ctx, commands)
	if err == nil {
		return c, nil
	}
	if said, ok := errors.AsType[*commandError](err); ok {
		return nil, badUsage(said)
	}
	for _, command := range commands {
		if !iptables.IsCommand(command) {
			return nil, scratchFailed("--with", err)
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

var errProgram = errors.New("it is no command that changes a firewall")

// knownProgram refuses other programs before anything is made.
func knownProgram(words []string) error {
	if len(words) < 2 {
		return errProgram
	}
	name := words[0][strings.LastIndexByte(words[0], '/')+1:]
	if name == "nft" || name == "ipset" || iptables.IsCommand(name+" -A INPUT") {
		return nil
	}
	return errProgram
}

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
	rules, err := readRulesets(ctx, n.Handle)
	if err != nil {
		return nil, fmt.Errorf("read the changed copy: %w", err)
	}
	devices, err := n.Devices()
	if err != nil {
		return nil, err
	}
	after := *s
	after.indexes = make(map[string]uint32)
	for index, name := range devices {
		after.indexes[name] = index
	}
	after.rules = &rulesets{list: []*ruleset.Ruleset{rules.withTexts(ctx)}}
	return &changed{subject: &after}, nil
}

// load puts the subject's rules into the copy.
func (s *subject) load(ctx context.Context, n *scratch.Namespace) error {
	if s.handle == nil {
		return loadFiles(ctx, n, s.files)
	}
	if asksIPSets(s.rules.list) {
		text, err := runIn(ctx, s.handle, "ipset", "save")
		if err != nil {
			return err
		}
		if err := n.LoadIPSets(ctx, string(text)); err != nil {
			return err
		}
	}
	var native strings.Builder
	for _, rs := range s.rules.list {
		for _, t := range rs.Tables {
			if t.Engine == ruleset.NFTables {
				text, err := runIn(ctx, s.handle, "nft", "list", "table", t.Family, t.Name)
				if err != nil {
					return err
				}
				native.Write(text)
				continue
			}
			if err := s.loadTable(ctx, n, t); err != nil {
				return err
			}
		}
	}
	if native.Len() == 0 {
		return nil
	}
	return n.LoadNFT(ctx, native.String())
}

// asksIPSets reports whether a rule asks for an ipset. Where none does ipset is not
// run: it would bring its module into the kernel.
func asksIPSets(list []*ruleset.Ruleset) bool {
	for _, rs := range list {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					if asksIPSet(r.Statements) {
						return true
					}
				}
			}
		}
	}
	return false
}

func asksIPSet(list []ruleset.Statement) bool {
	for _, s := range list {
		switch s := s.(type) {
		case *ruleset.Match:
			if s.Set != nil && s.Set.IPSet != "" {
				return true
			}
		case *ruleset.Any:
			if slices.ContainsFunc(s.Of, asksIPSet) {
				return true
			}
		}
	}
	return false
}

// loadTable copies a table that iptables owns.
func (s *subject) loadTable(ctx context.Context, n *scratch.Namespace, t *ruleset.Table) error {
	name := map[string]string{"ip": "iptables", "ip6": "ip6tables"}[t.Family]
	if name == "" {
		return nil // arp and bridge: not what is asked about
	}
	if t.Engine == ruleset.IPTablesLegacy {
		name += "-legacy-save"
	} else {
		name += "-nft-save"
	}
	text, err := runIn(ctx, s.handle, name, "-t", t.Name)
	if err != nil {
		return err
	}
	return n.LoadIPTables(ctx, t.Engine, t.Family, string(text))
}

// loadFiles loads what files hold, as the subject was read from them.
func loadFiles(ctx context.Context, n *scratch.Namespace, files []string) error {
	for _, name := range files {
		l, text, err := readRuleFile(name)
		if err != nil {
			return err
		}
		if l == listedNFT {
			if err := n.LoadNFT(ctx, string(text)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		rs, err := parseSaved(name, text)
		if err != nil {
			return err
		}
		t := rs.Tables[0]
		if err := n.LoadIPTables(ctx, t.Engine, t.Family, string(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// listTimeout bounds a program that lists rules: nft needs 5 s for 100,000.
const listTimeout = 30 * time.Second

// runIn runs a listing program inside a namespace.
func runIn(ctx context.Context, h *netns.Handle, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	path, ok := findProgram(name)
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, scratch.ErrNoProgram)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	// Only the fork has to happen inside.
	err := h.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", name, err, clip(strings.TrimSpace(said.String())))
	}
	return out.Bytes(), nil
}

// changeModel makes the commands' changes on the model alone. why says what kept
// the real programs from it.
func (s *subject) changeModel(commands []string, why error) (*changed, error) {
	list := append([]*ruleset.Ruleset(nil), s.rules.list...)
	if len(list) == 0 {
		list = append(list, &ruleset.Ruleset{})
	}
	for _, command := range commands {
		var err error
		if list, err = applyTo(list, command); err != nil {
			return nil, badUsage(fmt.Errorf("--with %q: %w", command, err))
		}
	}
	after := *s
	after.rules = &rulesets{list: list, model: s.rules.model}
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

var errQuote = errors.New("a quote is not closed")

// shellSplit splits a command as a shell would, without expanding anything; a
// sudo before it is left out.
func shellSplit(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside, quote := false, byte(0)
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inside {
				words = append(words, word.String())
				word.Reset()
			}
			inside = false
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inside = c, true
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(command):
			i++
			word.WriteByte(command[i])
			inside = true
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	if quote != 0 {
		return nil, errQuote
	}
	if inside {
		words = append(words, word.String())
	}
	if len(words) > 0 && words[0] == "sudo" {
		words = words[1:]
	}
	return words, nil
}
