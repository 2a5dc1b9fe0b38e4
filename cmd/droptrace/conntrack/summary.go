package conntrack

import (
	"fmt"
	"strings"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/drop"
)

// summary closes a run: totals by cause, and beside them what the kernel counted
// meanwhile, so that nobody has to trust one of the two.
func (s *conntrackSession) summary() {
	if s.o.quiet {
		return
	}
	var b strings.Builder
	fmt.Fprintln(&b, s.counts(s.t.Style(s.t.Stderr), 100*time.Millisecond))
	for _, r := range s.tally.causes.List(tallyRoom) {
		fmt.Fprintf(&b, "%10d  %s\n", r.Count, r.Key)
	}
	c := s.counted()
	fmt.Fprintf(&b, "counted by the kernel meanwhile: insert_failed %d, drop %d, early_drop %d, clash_resolve %d, chaintoolong %d, invalid %d\n",
		c.InsertFailed, c.Drop, c.EarlyDrop, c.ClashResolve, c.ChainTooLong, c.Invalid)
	fmt.Fprint(s.t.Stderr, b.String())
}

// counts is what was told in all, and for how long.
func (s *conntrackSession) counts(style output.Style, precision time.Duration) string {
	facts := []string{
		output.Plural(s.tally.total, "failure", "failures"), output.Plural(s.tally.lost, "packet", "packets") + " lost",
		output.Plural(s.lost, "record", "records") + " lost",
	}
	if s.missed > 0 {
		facts = append(facts, output.Plural(s.missed, "nested run", "nested runs")+" missed by the kernel: as many failures may be unseen")
	}
	return style.Join(append(facts, time.Since(s.start).Round(precision).String()))
}

// counted sums what every namespace's counters moved by since the start.
func (s *conntrackSession) counted() (sum drop.ConntrackCounts) {
	for inode, last := range s.last {
		first := s.src.CountsBefore(inode)
		sum.InsertFailed += last.Total.InsertFailed - first.InsertFailed
		sum.Drop += last.Total.Drop - first.Drop
		sum.EarlyDrop += last.Total.EarlyDrop - first.EarlyDrop
		sum.ClashResolve += last.Total.ClashResolve - first.ClashResolve
		sum.ChainTooLong += last.Total.ChainTooLong - first.ChainTooLong
		sum.Invalid += last.Total.Invalid - first.Invalid
	}
	return sum
}
