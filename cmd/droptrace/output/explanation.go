package output

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// typeExplanation is the type of an Explanation.
const typeExplanation = "explanation"

// Explanation is what droptrace explain says of one packet.
type Explanation struct {
	Type   string    `json:"type"` // explanation
	Schema int       `json:"schema"`
	Time   time.Time `json:"time"`

	Packet drop.Packet `json:"packet"`
	Netns  *drop.Netns `json:"netns,omitempty"`
	Files  []string    `json:"files,omitempty"`
	// Assumed says what the question left open, a rule looked at, and was taken
	// for it: the answer hangs on it.
	Assumed []string `json:"assumed,omitempty"`
	Notes   []string `json:"notes,omitempty"`
	// As in Way.
	Verdict string     `json:"verdict"`
	Stages  []Stage    `json:"path"`
	Stopped string     `json:"stopped,omitempty"`
	Why     []drop.Why `json:"why,omitempty"`
	// With holds the changes asked about, and After the packet's way once they
	// are made.
	With  []string `json:"with,omitempty"`
	After *Way     `json:"after,omitempty"`
}

// Way is a packet's way through the hooks.
type Way struct {
	// Verdict is accept, drop, reject, queue, stolen or unknown.
	Verdict string  `json:"verdict"`
	Stages  []Stage `json:"path"`
	// Stopped says why it was not followed further.
	Stopped string     `json:"stopped,omitempty"`
	Why     []drop.Why `json:"why,omitempty"`
}

// Stage is one hook, or the routing decision.
type Stage struct {
	Hook    string          `json:"hook"` // or routing
	Family  string          `json:"family,omitempty"`
	In      *drop.Interface `json:"in,omitempty"`
	Out     *drop.Interface `json:"out,omitempty"`
	Verdict string          `json:"verdict"` // with routing: route
	// Local is true where routing takes it to this host.
	Local bool `json:"local,omitempty"`
	// Rule that ended the packet's way here; with policy, the chain's.
	Rule *drop.Rule `json:"rule,omitempty"`
	// Candidates can have ended it, where it cannot be told.
	Candidates []drop.Rule `json:"candidates,omitempty"`
	Doubts     []Doubt     `json:"doubts,omitempty"`
	// Rules counts those that were asked.
	Rules int `json:"rules_asked"`
	// Becomes is the packet as the hook left it, where addresses or ports were
	// translated; Mark where a rule set it.
	Becomes *drop.Packet `json:"becomes,omitempty"`
	Mark    *uint32      `json:"mark,omitempty"`
	Steps   []Step       `json:"steps,omitempty"` // with --trace
}

// Doubt is a rule that could not be told.
type Doubt struct {
	Rule drop.Rule `json:"rule"`
	At   string    `json:"at,omitempty"` // the match in question
	Why  string    `json:"why"`
}

// Step is the evaluation of one rule.
type Step struct {
	Rule   drop.Rule `json:"rule"`
	Depth  int       `json:"depth"`
	Result string    `json:"result"` // match, no match, cannot know
	At     string    `json:"at,omitempty"`
	Why    string    `json:"why,omitempty"`
}

// Set takes over the way that the packet goes now.
func (e *Explanation) Set(w Way) {
	e.Verdict, e.Stages, e.Stopped, e.Why = w.Verdict, w.Stages, w.Stopped, w.Why
}

// WriteJSON prints the explanation as one line.
func (e *Explanation) WriteJSON(w io.Writer) error {
	e.Type, e.Schema = typeExplanation, drop.Schema
	return writeJSON(w, e)
}

// WriteText prints it for people: the packet, then hook by hook what becomes of
// it, and where it dies, why.
func (e *Explanation) WriteText(w io.Writer, s Style) error {
	t := NewText(w, s, time.UTC)
	flow := appendFlow(nil, &e.Packet)
	glueFlow(flow)
	t.buf = s.appendLine(t.buf, line{text: string(flow), color: bold, indent: flowIndent})
	t.way(&Way{e.Verdict, e.Stages, e.Stopped, e.Why})
	if e.After != nil {
		t.change(e)
	}
	for _, a := range e.Assumed {
		t.labelled("assumed", dim, Escape(a, s.ASCII), plainText)
	}
	for _, n := range e.Notes {
		t.labelled("note", dim, Escape(n, s.ASCII), plainText)
	}
	return t.Flush()
}

// change tells the way after what was asked about.
func (t *Text) change(e *Explanation) {
	t.buf = append(t.buf, '\n')
	for i, with := range e.With {
		label := "with"
		if i > 0 {
			label = " "
		}
		t.labelled(label, bold, shellWords(Escape(with, t.style.ASCII)), bold)
	}
	t.told.reset()
	t.way(e.After)
	what := e.Verdict + t.style.arrow() + e.After.Verdict
	if e.Verdict == e.After.Verdict {
		what = "nothing: " + e.Verdict
	}
	t.labelled("changes", bold, what, plainText)
}

func (t *Text) way(w *Way) {
	for i := range w.Stages {
		t.stage(&w.Stages[i])
	}
	for _, why := range w.Why {
		t.whyLines(whyKey{code: why.Code}, why)
	}
	switch {
	case w.Stopped != "":
		t.labelled("?", yellow, Escape(w.Stopped, t.style.ASCII), plainText)
	case w.Verdict == "accept":
		t.labelled("accept", green, "it "+w.end(), plainText)
	case w.Verdict == "unknown":
		t.labelled("?", yellow, "what becomes of it cannot be known", plainText)
	}
}

// end says where an accepted packet comes to.
func (w *Way) end() string {
	if len(w.Stages) == 0 {
		return "meets no rule"
	}
	switch last := &w.Stages[len(w.Stages)-1]; last.Hook {
	case "input":
		return "reaches this host's sockets"
	case "postrouting", "egress":
		return "leaves this host"
	default:
		return "passes " + last.Hook
	}
}

func stageLabel(verdict string) (label, color string) {
	switch verdict {
	case "accept":
		return "pass", green
	case "drop":
		return "drop", red
	case "reject":
		return "reject", yellow
	case "route":
		return "route", dim
	case "unknown":
		return "?", yellow
	}
	return verdict, yellow
}

// stage prints one hook's line and what belongs to it.
func (t *Text) stage(g *Stage) {
	s := t.style
	for i := range g.Steps {
		t.step(&g.Steps[i])
	}
	label, color := stageLabel(g.Verdict)
	d := drop.Drop{Hook: g.Hook, In: g.In, Out: g.Out}
	facts := []string{s.hook(&d)}
	if g.Family == "netdev" || g.Family == "bridge" {
		facts[0] = g.Family + "\x00" + facts[0]
	}
	switch {
	case g.Rule != nil:
		facts = append(facts, s.ruleAt(g.Rule))
	case len(g.Candidates) > 0:
		names := s.ruleAt(&g.Candidates[0])
		if len(g.Candidates) > 1 {
			names = s.candidates(g.Candidates[:min(len(g.Candidates), maxCandidates)])
		}
		if g.Verdict == "unknown" {
			names = "perhaps " + names
		}
		facts = append(facts, names)
	case g.Local:
		facts = append(facts, "to\x00this\x00host")
	case g.Rules > 0:
		facts = append(facts, glued(Plural(uint64(g.Rules), "rule", "rules")+" asked"))
	case g.Hook != "routing":
		facts = append(facts, glued("no rules"))
	}
	if g.Becomes != nil {
		facts = append(facts, "now "+strings.ReplaceAll(string(appendEndpoints(nil, g.Becomes)), " ", string(glue)))
	}
	if g.Mark != nil {
		facts = append(facts, "mark\x000x"+strconv.FormatUint(uint64(*g.Mark), 16))
	}
	t.labelled(label, color, strings.Join(facts, s.sep()), plainText)
	if g.Rule != nil {
		t.ruleText(g.Rule)
	}
	for i := range g.Doubts[:min(len(g.Doubts), maxCandidates)] {
		t.doubtful(&g.Doubts[i])
	}
}

// doubtful says why a rule could not be told.
func (t *Text) doubtful(d *Doubt) {
	s := t.style
	text := "cannot know: "
	if d.Rule.Chain != "" {
		text += s.ruleAt(&d.Rule) + ": "
	}
	if d.At != "" {
		text += Escape(d.At, s.ASCII) + ": "
	}
	t.body(text + Escape(d.Why, s.ASCII))
}

// step prints the evaluation of one rule: its place, its text, and on what it
// failed.
func (t *Text) step(p *Step) {
	s := t.style
	mark, color := "-", dim
	switch p.Result {
	case "match":
		mark, color = "+", plainText
	case "cannot know":
		mark, color = "?", yellow
	}
	text := strings.Repeat("\x00\x00", p.Depth) + chainName(&p.Rule, s.ASCII) + "\x00" + shortPlace(&p.Rule)[min(1, len(shortPlace(&p.Rule))):]
	if isPolicy(&p.Rule) {
		text += place(&p.Rule)
	}
	if p.Rule.Text != "" {
		text += ": " + Escape(p.Rule.Text, s.ASCII)
	}
	switch {
	case p.Result == "no match" && p.At != "":
		text += s.sep() + "not " + Escape(p.At, s.ASCII)
	case p.Why != "":
		text += s.sep() + Escape(p.Why, s.ASCII)
	}
	t.labelled(mark, color, text, color)
}
