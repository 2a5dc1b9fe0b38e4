package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/conntrack/table"
)

// summary closes a run: totals by cause, and beside them what the kernel counted
// meanwhile, so that nobody has to trust one of the two.
func (s *conntrackSession) summary() {
	if s.o.quiet {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d failures | %d packets lost | %d records lost | %v\n",
		s.tally.total, s.tally.lost, s.lost, time.Since(s.start).Round(100*time.Millisecond))
	for _, r := range s.tally.causes.List(tallyRoom) {
		fmt.Fprintf(&b, "%10d  %s\n", r.Count, r.Key)
	}
	c := s.counted()
	fmt.Fprintf(&b, "counted by the kernel meanwhile: insert_failed %d, drop %d, early_drop %d, clash_resolve %d, chaintoolong %d, invalid %d\n",
		c.InsertFailed, c.Drop, c.EarlyDrop, c.ClashResolve, c.ChainTooLong, c.Invalid)
	fmt.Fprint(s.t.stderr, b.String())
}

// counted sums what every namespace's counters moved by since the start.
func (s *conntrackSession) counted() (sum table.Counts) {
	for inode, last := range s.last {
		first := s.first[inode]
		sum.InsertFailed += last.Total.InsertFailed - first.Total.InsertFailed
		sum.Drop += last.Total.Drop - first.Total.Drop
		sum.EarlyDrop += last.Total.EarlyDrop - first.Total.EarlyDrop
		sum.ClashResolve += last.Total.ClashResolve - first.Total.ClashResolve
		sum.ChainTooLong += last.Total.ChainTooLong - first.Total.ChainTooLong
		sum.Invalid += last.Total.Invalid - first.Total.Invalid
	}
	return sum
}
