package audit

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// readConntrackStats adds up /proc/net/stat/nf_conntrack: a heading, then a line
// of hexadecimal columns for each CPU (ct_cpu_seq_show). It is there with
// CONFIG_NF_CONNTRACK_PROCFS once conntrack is loaded. Netlink has the same
// numbers, but asking there may load a module.
func readConntrackStats(path string) (ConntrackStats, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return ConntrackStats{}, nil
	}
	if err != nil {
		return ConntrackStats{}, fmt.Errorf("read conntrack's statistics: %w", err)
	}
	return parseConntrackStats(string(b))
}

func parseConntrackStats(text string) (ConntrackStats, error) {
	heading, rest, _ := strings.Cut(text, "\n")
	names := strings.Fields(heading)
	sums := make(map[string]uint64)
	for line := range strings.Lines(rest) {
		for i, field := range strings.Fields(line) {
			n, err := strconv.ParseUint(field, 16, 64)
			if err != nil || i >= len(names) {
				return ConntrackStats{}, fmt.Errorf("conntrack's statistics: line %q is not understood", line)
			}
			sums[names[i]] += n
		}
	}
	_, known := sums["insert_failed"]
	return ConntrackStats{
		Known: known, Drop: sums["drop"], EarlyDrop: sums["early_drop"], InsertFailed: sums["insert_failed"],
		Invalid: sums["invalid"], ChainTooLong: sums["chaintoolong"], ICMPFail: sums["icmp_error"],
	}, nil
}
