package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/droptrace/droptrace/resolve/drop"
)

// tally counts the answers of one row of the table.
type tally struct {
	Kernel, Plan, Engine, Phase, Path string

	N, Certain, CertainWrong, Probable, ProbableWrong, Unknown, Missed int
	// Phantom counts records of packets that were not dropped.
	Phantom int
	// Method counts what was not certain, with its note.
	Uncertain map[string]int `json:",omitempty"`
}

// judge compares answers.
type judge struct {
	kernel, plan string
	seed         uint64
	rows         []*tally
	out          io.Writer
	shown        int
	wrong        int
	whys         []*told
}

func (j *judge) row(engine, phase, path string) *tally {
	for _, t := range j.rows {
		if t.Engine == engine && t.Phase == phase && t.Path == path {
			return t
		}
	}
	t := &tally{Kernel: j.kernel, Plan: j.plan, Engine: engine, Phase: phase, Path: path, Uncertain: map[string]int{}}
	j.rows = append(j.rows, t)
	return t
}

// differs says how a record's rule is not the true one; "" where it is.
// Handles are not compared where the ruleset was loaded anew since the measure.
func differs(engine string, a *answer, d *drop.Drop, handles bool) string {
	r := d.Rule
	switch {
	case r == nil:
		return "names no rule (cause " + d.Cause + ")"
	case r.Family != a.Family || r.Table != a.Table || r.Chain != a.Chain:
		return "other chain"
	case a.Base != "" && r.BaseChain != "" && !slices.Contains(strings.Split(a.Base, "|"), r.BaseChain):
		return "other base chain"
	case r.Engine != map[string]string{"nft": "nftables"}[engine] && r.Engine != engine:
		return "other engine"
	case a.Rule == nil && (r.Handle != 0 || r.Number != 0 || r.Policy != "drop" || d.Cause != "policy"):
		return "a rule, not the policy"
	case a.Rule == nil:
		return ""
	case r.Text != "" && !strings.Contains(r.Text, a.Rule.ID):
		return "other rule's text"
	case r.Policy != "":
		return "the policy, not a rule"
	case r.Number != 0 && r.Number != a.Number:
		return "other number"
	case handles && r.Handle != 0 && a.Handle != r.Handle:
		return "other handle"
	case r.Handle == 0 && r.Number == 0 && r.Text == "":
		return "no handle, number, text"
	case (a.Rule.Verdict == "reject") != (d.Verdict == "reject"):
		return "verdict " + d.Verdict
	}
	return ""
}

// compare judges the records of one packet that was dropped by a, or accepted
// where a is nil.
func (j *judge) compare(s *ruleset, phase, path string, p spec, a *answer, records []drop.Drop, handles bool) {
	t := j.row(s.Engine, phase, path)
	if a == nil {
		for _, d := range records {
			if d.Hook != "" || d.Rule != nil {
				t.Phantom++
				j.show(s, phase, p, "phantom", "", a, records)
			}
		}
		return
	}
	t.N++
	if len(records) == 0 {
		t.Missed++
		j.show(s, phase, p, "missed", "", a, records)
		return
	}
	d := &records[0]
	how := differs(s.Engine, a, d, handles)
	if c := d.Attribution.Certainty; c != drop.Certain {
		t.Uncertain[fmt.Sprintf("%s %s: %s (%s)", c, d.Attribution.Method, d.Attribution.Note, a.kind())]++
	}
	switch {
	case d.Attribution.Certainty == drop.Certain && how == "":
		t.Certain++
		j.cause(s, phase, p, a, records)
	case d.Attribution.Certainty == drop.Certain:
		t.CertainWrong++
		j.wrong++
		j.show(s, phase, p, "CERTAIN BUT WRONG", how, a, records)
	case d.Attribution.Certainty == drop.Probable && how == "":
		t.Probable++
	case d.Attribution.Certainty == drop.Probable:
		t.ProbableWrong++
		j.show(s, phase, p, "probable but wrong", how, a, records)
	default:
		if t.Unknown++; t.Unknown <= 3 {
			j.show(s, phase, p, "unknown", d.Attribution.Note, a, records)
		}
	}
}

// show prints evidence. A certain answer that is wrong is always shown, with its
// ruleset; of the rest a few.
func (j *judge) show(s *ruleset, phase string, p spec, what, how string, a *answer, records []drop.Drop) {
	certain := strings.HasPrefix(what, "CERTAIN")
	if j.shown++; j.shown > 40 && (!certain || j.wrong > 20) {
		return
	}
	fmt.Fprintf(j.out, "%s: %s (engine %s, phase %s, seed %d)\n  packet: %v\n  truth: %v\n", what, how, s.Engine, phase, j.seed, p, a)
	for _, d := range records {
		b, _ := json.Marshal(d)
		fmt.Fprintf(j.out, "  droptrace: %s\n", b)
	}
	if certain && j.wrong <= 4 {
		family := map[bool]string{false: "ip", true: "ip6"}[p.V6]
		fmt.Fprintf(j.out, "  ruleset:\n%s\n", s.text(family))
	}
}

func (j *judge) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "kernel\tplan\tengine\tphase\tpath\tN\tcertain\tprobable\tunknown\twrong\tprob-wrong\tmissed\tphantom\tcertain%")
	for _, t := range j.rows {
		if t.N == 0 && t.Phantom == 0 {
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.2f\n", t.Kernel, t.Plan, t.Engine, t.Phase, t.Path,
			t.N, t.Certain, t.Probable, t.Unknown, t.CertainWrong, t.ProbableWrong, t.Missed, t.Phantom, 100*float64(t.Certain)/float64(max(t.N, 1)))
	}
	tw.Flush()
	notes := map[string]int{}
	for _, t := range j.rows {
		for n, c := range t.Uncertain {
			notes[t.Engine+" "+t.Phase+" "+n] += c
		}
	}
	var names []string
	for n := range notes {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return notes[b] - notes[a] })
	for _, n := range names[:min(len(names), 25)] {
		fmt.Fprintf(w, "%6d  %s\n", notes[n], n)
	}
}
