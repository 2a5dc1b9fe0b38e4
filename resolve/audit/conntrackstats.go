package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
)

// here is the namespace of the calling thread.
type here struct{}

func (here) Do(fn func() error) error { return fn() }

// readConntrackStats adds up conntrack's counters: from /proc, or where the kernel is
// built without CONFIG_NF_CONNTRACK_PROCFS by netlink, if that loads no module.
func readConntrackStats() (ConntrackStats, error) {
	s, err := statsBy(false)
	if errors.Is(err, table.ErrNoConntrack) && ctnetlink() {
		s, err = statsBy(true)
	}
	if errors.Is(err, table.ErrNoConntrack) {
		return ConntrackStats{}, nil
	}
	if err != nil {
		return ConntrackStats{}, fmt.Errorf("read conntrack's statistics: %w", err)
	}
	return summed(s), nil
}

func statsBy(netlink bool) (table.Stats, error) {
	r := table.New(here{}, netlink)
	defer r.Close()
	return r.Stats(context.Background())
}

func summed(s table.Stats) ConntrackStats {
	c := s.Sum()
	return ConntrackStats{
		Known: len(s) > 0, Drop: c.Drop, EarlyDrop: c.EarlyDrop, InsertFailed: c.InsertFailed,
		Invalid: c.Invalid, ChainTooLong: c.ChainTooLong,
	}
}

// ctnetlink reports whether nf_conntrack_netlink is in the kernel, as a module or
// built in.
func ctnetlink() bool {
	if _, err := os.Stat("/sys/module/nf_conntrack_netlink"); err == nil {
		return true
	}
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.Contains(lines.Text(), " ctnetlink_stat_ct_cpu") {
			return true
		}
	}
	return false
}
