package nftables

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/droptrace/droptrace/resolve/host/module"
	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// save lists a table of iptables-nft's and joins the nth line of each chain to
// its nth rule. Chains whose lines are not as many as their rules are left out,
// and the lines of foreign rules are not to be trusted.
func (t *texts) save(ctx context.Context, table *tableNode) (map[*ruleset.Chain][]string, error) {
	// iptables-nft-save asks nft_compat which matches the kernel has (seen for
	// "tcp" with 1.8.9), and nfnetlink loads it to answer. A table without
	// x_tables parts may come from a machine that never had it.
	if table.compat == 0 {
		ok, err := module.Files("/").InKernel("nft_compat", "nft_target_init")
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errWouldLoad
		}
	}
	path, args, err := t.saveProgram(ctx, table)
	if err != nil {
		return nil, err
	}
	var listed *saved
	err = t.run(ctx, func(r io.Reader) (err error) {
		listed, err = parseSave(r, table.Name)
		return err
	}, path, args...)
	if err != nil {
		return nil, err
	}
	found := make(map[*ruleset.Chain][]string)
	for _, c := range table.chains {
		if lines, ok := listed.join(c); ok {
			found[c.Chain] = lines
		}
	}
	return found, nil
}

// join gives a chain its lines, or nothing where the counts differ: iptables
// then does not understand the table, and says so in a comment.
func (s *saved) join(c *chainNode) ([]string, bool) {
	lines := s.rules[c.Name]
	if c.ebtablesPolicy != nil {
		// ebtables-nft hides it among the policies.
		policy, ok := s.policies[c.Name]
		if !ok || c.ebtablesPolicy.Number != len(c.Rules) {
			return nil, false
		}
		lines = append(lines, "-P "+c.Name+" "+policy)
	}
	return lines, len(lines) == len(c.Rules)
}

// saveProgram is the nf_tables variant of the family's save program, with its
// arguments.
func (t *texts) saveProgram(ctx context.Context, table *tableNode) (path string, args []string, err error) {
	name := ""
	switch table.Family {
	case "ip":
		name, args = "iptables", []string{"-t", table.Name}
	case "ip6":
		name, args = "ip6tables", []string{"-t", table.Name}
	case "arp":
		name = "arptables" // it has this one table, and its save no -t
	case "bridge":
		name, args = "ebtables", []string{"-t", table.Name}
	}
	if path, ok := t.find(name + "-nft-save"); ok {
		return path, args, nil
	}
	// The plain name is whichever variant the distribution chose.
	if path, ok := t.find(name + "-save"); ok {
		var version strings.Builder
		err := t.run(ctx, func(r io.Reader) error {
			_, err := io.Copy(&version, io.LimitReader(r, 1<<10))
			return err
		}, path, "-V")
		if err == nil && strings.Contains(version.String(), "nf_tables") {
			return path, args, nil
		}
	}
	return "", nil, fmt.Errorf("%w: %w", ErrNoProgram, &program.NotInstalledError{Program: name + "-nft-save"})
}
