package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// maxShown bounds the wrong answers that are printed.
const maxShown = 8

// judge counts answers.
type judge struct {
	out      io.Writer
	compared uint64
	wrong    uint64 // that were certain
	tally    map[answer]uint64
}

// answer is a kind of them.
type answer struct {
	engine, path, certainty, method, result string
}

var portInText = regexp.MustCompile(`\b[67]0[01][0-9]\b`)

// holds reports whether the record names what drops packets for the port: the rule
// whose text has it, or the policy.
func holds(r *record, port int) bool {
	if p := pathOf(port); p != nil && port == p.first+ports-1 {
		return r.Cause == "policy"
	}
	return r.Cause == "rule" && r.Rule != nil && portInText.FindString(r.Rule.Text) == strconv.Itoa(port)
}

// judge compares a record with its packet's port. Others than the flood's are passed
// over.
func (j *judge) judge(engine string, r *record) {
	p := pathOf(r.port())
	if p == nil {
		return
	}
	n := 1 + r.Repeats
	j.compared += n
	result := "no rule"
	switch {
	case r.Rule == nil:
	case r.Rule.Text == "" && r.Cause == "rule":
		result = "no text"
	case holds(r, r.port()):
		result = "right"
	default:
		result = "wrong"
	}
	if result == "wrong" && r.Attribution.Certainty == "certain" {
		if j.wrong += n; j.wrong <= maxShown {
			fmt.Fprintf(j.out, "wrong: port %d, %s %q, by %s: %s\n", r.port(), r.Cause, r.Rule.Text, r.Attribution.Method, r.Attribution.Note)
		}
	}
	if j.tally == nil {
		j.tally = make(map[answer]uint64)
	}
	j.tally[answer{engine, p.name, r.Attribution.Certainty, r.Attribution.Method, result}] += n
}

func (j *judge) print(plan string) {
	var u unix.Utsname
	_ = unix.Uname(&u)
	fmt.Fprintf(j.out, "adversary: Linux %s, plan %s: %d records compared, %d wrong\n",
		unix.ByteSliceToString(u.Release[:]), plan, j.compared, j.wrong)
	w := tabwriter.NewWriter(j.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "engine\tpath\tcertainty\tmethod\tresult\trecords")
	for _, a := range slices.SortedFunc(maps.Keys(j.tally), compareAnswers) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\n", a.engine, a.path, a.certainty, a.method, a.result, j.tally[a])
	}
	w.Flush()
}

func compareAnswers(a, b answer) int {
	return cmp.Or(cmp.Compare(a.engine, b.engine), cmp.Compare(a.path, b.path), cmp.Compare(a.certainty, b.certainty),
		cmp.Compare(a.method, b.method), cmp.Compare(a.result, b.result))
}
