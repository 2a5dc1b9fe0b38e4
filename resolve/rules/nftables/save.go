package nftables

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// saved is one table as iptables-nft-save, arptables-nft-save or
// ebtables-nft-save prints it.
type saved struct {
	rules    map[string][]string // by chain, in order, each with its "-A CHAIN"
	policies map[string]string   // by chain; "-" where it has none
}

// parseSave reads the save of one table.
//
// iptables escapes quotes in comments but no line breaks, so that a comment can
// look like rules. A real rule's line always begins with -A: what is added is
// then too much, unless it could hide real lines in another table or behind
// something unknown. So there must be one table, and any line that is not known
// is an error.
func parseSave(r io.Reader, table string) (*saved, error) {
	s := &saved{rules: make(map[string][]string), policies: make(map[string]string)}
	lines := bufio.NewReaderSize(r, 64<<10)
	found := false
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(line, "\n")
		switch name, isTable := strings.CutPrefix(line, "*"); {
		case line == "", line == "COMMIT", strings.HasPrefix(line, "#"):
		case isTable && name == table && !found:
			found = true
		case !found || isTable || !s.add(line):
			return nil, fmt.Errorf("line %q: %w", line, errListing)
		}
	}
}

// add reads a line of a chain or a rule.
func (s *saved) add(line string) bool {
	switch {
	case strings.HasPrefix(line, ":"):
		// :CHAIN POLICY [packets:bytes]
		fields := strings.Fields(line[1:])
		if len(fields) < 2 || s.policies[fields[0]] != "" {
			return false
		}
		s.policies[fields[0]] = fields[1]
	case strings.HasPrefix(line, "-A "):
		chain, _, _ := strings.Cut(line[len("-A "):], " ")
		s.rules[chain] = append(s.rules[chain], strings.TrimRight(line, " "))
	default:
		return false
	}
	return true
}
