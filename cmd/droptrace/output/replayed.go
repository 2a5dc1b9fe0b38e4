package output

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// typeReplayed and typeReplayedSummary are what explain --drops prints as JSON.
const (
	typeReplayed        = "replayed"
	typeReplayedSummary = "replayed_summary"
)

// Replayed prints what would become of recorded drops: as JSON each one, as text
// those of one fate together.
type Replayed struct {
	w      io.Writer
	s      Style
	json   bool
	with   []string
	groups map[string]*fateGroup
	order  []*fateGroup
	counts ReplayedSummary
}

type fateGroup struct {
	outcome, text string
	rule          *drop.Rule
	count         uint64
	first         drop.Packet
	hook          string
}

// ReplayedDrop is one recorded drop and what would become of it.
type ReplayedDrop struct {
	Type    string      `json:"type"`
	Schema  int         `json:"schema"`
	Time    time.Time   `json:"time"` // of the drop
	Packet  drop.Packet `json:"packet"`
	Hook    string      `json:"hook,omitempty"`
	Outcome string      `json:"outcome"`
	// Rule that would still drop it.
	Rule    *drop.Rule `json:"rule,omitempty"`
	Message string     `json:"message,omitempty"`
	Repeats uint64     `json:"repeats,omitempty"`
}

// ReplayedSummary counts a recording's drops, folded ones too.
type ReplayedSummary struct {
	Type   string   `json:"type"`
	Schema int      `json:"schema"`
	With   []string `json:"with,omitempty"`
	// Total is the sum of the others.
	Total     uint64 `json:"total"`
	Pass      uint64 `json:"pass"`
	Drop      uint64 `json:"drop"` // rejected ones too
	Unknown   uint64 `json:"unknown"`
	NotRules  uint64 `json:"not_by_rules"`
	Elsewhere uint64 `json:"other_netns"`
}

// NewReplayed prints to w.
func NewReplayed(w io.Writer, s Style, json bool, with []string) *Replayed {
	return &Replayed{w: w, s: s, json: json, with: with, groups: make(map[string]*fateGroup)}
}

// Elsewhere counts a drop of another namespace, whose rules were not asked.
func (r *Replayed) Elsewhere(d *drop.Drop) error {
	r.counts.Elsewhere += 1 + d.Repeats
	return r.note(d, "other-netns", nil, "it is of another network namespace")
}

// Drop takes one drop's fate.
func (r *Replayed) Drop(d *drop.Drop, outcome string, rule *drop.Rule, message string) error {
	n := 1 + d.Repeats
	switch outcome {
	case "pass":
		r.counts.Pass += n
	case "drop", "reject":
		r.counts.Drop += n
	case "not-by-rules":
		r.counts.NotRules += n
	default:
		r.counts.Unknown += n
	}
	return r.note(d, outcome, rule, message)
}

func (r *Replayed) note(d *drop.Drop, outcome string, rule *drop.Rule, message string) error {
	r.counts.Total += 1 + d.Repeats
	if r.json {
		return writeJSON(r.w, &ReplayedDrop{
			Type: typeReplayed, Schema: drop.Schema, Time: d.Time, Packet: d.Packet, Hook: d.Hook,
			Outcome: outcome, Rule: rule, Message: message, Repeats: d.Repeats,
		})
	}
	where := message
	if rule != nil {
		where = r.s.ruleAt(rule)
	}
	key := outcome + "\x01" + where + "\x01" + d.Hook
	g := r.groups[key]
	if g == nil {
		g = &fateGroup{outcome: outcome, text: message, rule: rule, first: d.Packet, hook: d.Hook}
		r.groups[key] = g
		r.order = append(r.order, g)
	}
	g.count += 1 + d.Repeats
	return nil
}

// Close prints the groups and the sums.
func (r *Replayed) Close() error {
	c := &r.counts
	c.Type, c.Schema, c.With = typeReplayedSummary, drop.Schema, r.with
	if r.json {
		return writeJSON(r.w, c)
	}
	t := NewText(r.w, r.s, time.UTC)
	for i, with := range r.with {
		label := "with"
		if i > 0 {
			label = " "
		}
		t.labelled(label, bold, shellWords(Escape(with, r.s.ASCII)), bold)
	}
	for _, g := range r.order {
		r.group(t, g)
	}
	facts := []string{glued(Plural(c.Total, "recorded drop", "recorded drops")), glued(count(c.Pass) + " would pass")}
	for _, f := range []struct {
		n    uint64
		what string
	}{
		{c.Drop, "would not"}, {c.Unknown, "cannot be told"}, {c.NotRules, "not by rules"},
		{c.Elsewhere, "of other namespaces"},
	} {
		if f.n > 0 {
			facts = append(facts, glued(count(f.n)+" "+f.what))
		}
	}
	t.buf = r.s.appendLine(t.buf, line{text: strings.Join(facts, r.s.sep()), indent: narrowIndent})
	return t.Flush()
}

func (r *Replayed) group(t *Text, g *fateGroup) {
	label, color := "?", yellow
	switch g.outcome {
	case "pass":
		label, color = "pass", green
	case "drop":
		label, color = "drop", red
	case "reject":
		label, color = "reject", yellow
	case "not-by-rules", "other-netns":
		label, color = "-", dim
	}
	facts := []string{glued(count(g.count))}
	if g.hook != "" {
		facts = append(facts, Escape(g.hook, r.s.ASCII))
	}
	if g.rule != nil {
		facts = append(facts, "still by "+r.s.ruleAt(g.rule))
	}
	if g.text != "" {
		facts = append(facts, Escape(g.text, r.s.ASCII))
	}
	example := "such as " + strings.ReplaceAll(string(appendEndpoints(nil, &g.first)), " ", string(glue))
	if g.first.Protocol != "" {
		example += " " + Escape(g.first.Protocol, true)
	}
	if g.count == 1 {
		example = strings.TrimPrefix(example, "such as ")
	}
	t.labelled(label, color, strings.Join(append(facts, example), r.s.sep()), plainText)
	if g.rule != nil && g.rule.Text != "" {
		n := ""
		if g.rule.Number != 0 {
			n = strconv.Itoa(g.rule.Number) + ":\x00"
		}
		t.body(n + Escape(g.rule.Text, r.s.ASCII))
	}
}
