package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// share is how many of some drops were certain.
type share struct{ certain, n int }

func (s share) String() string { return fmt.Sprintf("%d of %d", s.certain, s.n) }

// column is where drops happened, as the summary tells them apart: a kernel
// gives a method for what is received and forwarded; what the machine sends can be
// preempted; and no method knows a ruleset that replaced another just before.
func (t *tally) column() int {
	switch {
	case t.Phase == "reload":
		return 2
	case t.Path == "receive" || t.Path == "forward":
		return 0
	}
	return 1
}

// summary prints a line an engine.
func (j *judge) summary(w io.Writer) {
	var engines []string
	for _, t := range j.rows {
		if !slices.Contains(engines, t.Engine) {
			engines = append(engines, t.Engine)
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "certain: kernel\tplan\tengine\treceive, forward\tothers\tjust reloaded\tprobable\tunknown\twrong")
	for _, engine := range engines {
		var columns [3]share
		var all tally
		for _, t := range j.rows {
			if t.Engine != engine {
				continue
			}
			c := &columns[t.column()]
			c.certain += t.Certain
			c.n += t.N
			all.Probable += t.Probable
			all.Unknown += t.Unknown + t.Missed
			all.CertainWrong += t.CertainWrong
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%v\t%v\t%v\t%d\t%d\t%d\n", j.kernel, j.plan, engine, columns[0], columns[1], columns[2],
			all.Probable, all.Unknown, all.CertainWrong)
	}
	tw.Flush()
}
