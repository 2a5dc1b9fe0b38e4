package output

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Examination is what droptrace doctor found.
type Examination struct {
	Type   string    `json:"type"` // doctor
	Schema int       `json:"schema"`
	Time   time.Time `json:"time"`

	System       *System      `json:"system,omitempty"`
	Capabilities []Capability `json:"capabilities,omitempty"`
	Firewalls    []Firewall   `json:"firewalls,omitempty"`
	Findings     []Finding    `json:"findings"`
	// NotLookedAt says what could not be looked at, and what it would take.
	NotLookedAt []string `json:"not_looked_at,omitempty"`
}

// System is the machine and the user.
type System struct {
	Kernel       string   `json:"kernel"`
	Architecture string   `json:"architecture"`
	Droptrace    string   `json:"droptrace,omitempty"`
	UID          int      `json:"uid"`
	Missing      []string `json:"missing_privileges,omitempty"` // CAP_BPF and others
}

// Ability says how far a capability goes.
type Ability string

const (
	Can     Ability = "yes"
	Partly  Ability = "partly"
	Cannot  Ability = "no"
	Untried Ability = "not tried"
)

// Capability is a probe, a method of attribution or something else that
// droptrace may or may not have here.
type Capability struct {
	Kind    string  `json:"kind"` // kernel, probe, method or program
	Name    string  `json:"name"`
	Ability Ability `json:"ability"`
	Message string  `json:"message"`
	Get     string  `json:"get,omitempty"` // what would give it
}

// Firewall is one network namespace, or one file, that was looked at.
type Firewall struct {
	Netns  *drop.Netns `json:"netns,omitempty"`
	File   string      `json:"file,omitempty"`
	Tables int         `json:"tables"`
	Rules  int         `json:"rules"`

	ConntrackCount *int `json:"conntrack_count,omitempty"`
	ConntrackMax   *int `json:"conntrack_max,omitempty"`
}

// Finding is one thing to look at.
type Finding struct {
	Code     string      `json:"code"`
	Severity string      `json:"severity"` // high medium low
	Message  string      `json:"message"`
	Fix      string      `json:"fix,omitempty"`
	Netns    *drop.Netns `json:"netns,omitempty"`
	File     string      `json:"file,omitempty"`
	// Rules that it is about, at most some: first the one to change.
	Rules []drop.Rule `json:"rules,omitempty"`
	// More counts rules of the same finding that are not listed.
	More int `json:"more_rules,omitempty"`
}

// typeDoctor is the type of an Examination.
const typeDoctor = "doctor"

// WriteJSON prints the examination as one line.
func (e *Examination) WriteJSON(w io.Writer) error {
	e.Type, e.Schema = typeDoctor, drop.Schema
	if e.Findings == nil {
		e.Findings = []Finding{}
	}
	return writeJSON(w, e)
}

// writeJSON prints one object on one line. encoding/json lets DEL, C1 and bidi
// controls through, which a terminal may obey: they are escaped too. Nothing but
// strings can hold them.
func writeJSON(w io.Writer, v any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	plain := strings.TrimSuffix(b.String(), "\n")
	out := make([]byte, 0, len(plain)+1)
	for _, r := range plain {
		if r >= 0x7f && !strconv.IsPrint(r) {
			out = appendJSONRune(out, r)
			continue
		}
		out = utf8.AppendRune(out, r)
	}
	_, err := w.Write(append(out, '\n'))
	return err
}

// maxOfCode is how many findings of one code are told in text; the rest is one
// line.
const maxOfCode = 5

// WriteText prints the examination for people: what can be done, then what is
// amiss, what hurts most first.
func (e *Examination) WriteText(w io.Writer, s Style) error {
	p := examinationPrinter{s: s}
	if e.System != nil {
		p.system(e.System)
	}
	for i := range e.Capabilities {
		p.capability(&e.Capabilities[i])
	}
	for i := range e.Firewalls {
		p.firewall(&e.Firewalls[i])
	}
	p.findings(e.Findings, len(e.Firewalls) > 1)
	for _, n := range e.NotLookedAt {
		p.labelled("unseen", yellow, Escape(n, s.ASCII))
	}
	_, err := w.Write(p.b)
	return err
}

type examinationPrinter struct {
	b []byte
	s Style
}

func (p *examinationPrinter) gap() {
	if len(p.b) > 0 {
		p.b = append(p.b, '\n')
	}
}

func (p *examinationPrinter) heading(text string) {
	p.gap()
	p.b = p.s.appendLine(p.b, line{text: text, color: bold, indent: narrowIndent})
}

func (p *examinationPrinter) labelled(label, color, text string) {
	p.b = p.s.appendLine(p.b, line{label: label, labelColor: color, text: text, indent: bodyIndent})
}

func (p *examinationPrinter) body(text string) {
	p.b = p.s.appendLine(p.b, line{text: text, first: bodyIndent, indent: bodyIndent})
}

func (p *examinationPrinter) system(y *System) {
	user := "root"
	if y.UID != 0 {
		user = "user\x00" + strconv.Itoa(y.UID)
	}
	var facts []string
	if y.Droptrace != "" {
		facts = append(facts, "droptrace\x00"+Escape(y.Droptrace, p.s.ASCII))
	}
	facts = append(facts, "Linux\x00"+Escape(y.Kernel, p.s.ASCII), Escape(y.Architecture, true), user)
	if len(y.Missing) > 0 {
		facts = append(facts, "without "+strings.Join(y.Missing, ", "))
	}
	p.heading(strings.Join(facts, p.s.sep()))
}

func (p *examinationPrinter) capability(c *Capability) {
	label, color := "can", green
	switch c.Ability {
	case Partly:
		label, color = "partly", yellow
	case Cannot:
		label, color = "cannot", yellow
	case Untried:
		label, color = "?", dim
	}
	p.labelled(label, color, glued(Escape(c.Name, p.s.ASCII))+p.s.sep()+Escape(c.Message, p.s.ASCII))
	if c.Get != "" {
		p.labelled("get", green, Escape(c.Get, p.s.ASCII))
	}
}

func (p *examinationPrinter) firewall(f *Firewall) {
	name := Escape(f.File, p.s.ASCII)
	if f.Netns != nil {
		if name = netnsName(f.Netns, p.s.ASCII); name == "" {
			name = "this network namespace"
		}
	}
	facts := []string{name, glued(Plural(uint64(f.Tables), "table", "tables")), glued(Plural(uint64(f.Rules), "rule", "rules"))}
	if f.ConntrackCount != nil && f.ConntrackMax != nil {
		facts = append(facts, glued("conntrack "+count(uint64(*f.ConntrackCount))+" of "+count(uint64(*f.ConntrackMax))))
	}
	p.heading(strings.Join(facts, p.s.sep()))
}

// findings tells those of each code up to maxOfCode in full.
func (p *examinationPrinter) findings(list []Finding, named bool) {
	told := make(map[string]int)
	for i := range list {
		f := &list[i]
		if told[f.Code]++; told[f.Code] > maxOfCode {
			continue
		}
		p.gap()
		p.finding(f, named)
	}
	p.rest(list, told)
}

func (p *examinationPrinter) rest(list []Finding, told map[string]int) {
	for i := range list {
		if n := told[list[i].Code] - maxOfCode; n > 0 {
			told[list[i].Code] = 0
			p.gap()
			p.labelled(p.s.ellipsis(), dim, count(uint64(n))+" more of "+Escape(list[i].Code, true)+": --json has all")
		}
	}
}

func (p *examinationPrinter) finding(f *Finding, named bool) {
	color := dim
	switch f.Severity {
	case "high":
		color = red
	case "medium":
		color = yellow
	}
	text := Escape(f.Message, p.s.ASCII)
	if named {
		if name := Escape(f.File, p.s.ASCII); name != "" {
			text = name + ": " + text
		} else if name := p.place(f.Netns); name != "" {
			text = name + ": " + text
		}
	}
	p.labelled(f.Severity, color, text+p.s.sep()+Escape(f.Code, true))
	for i := range f.Rules {
		p.rule(&f.Rules[i], i)
	}
	if f.More > 0 {
		p.body(p.s.ellipsis() + " and " + count(uint64(f.More)) + " more")
	}
	p.b = p.s.appendFix(p.b, f.Fix)
}

func (p *examinationPrinter) place(n *drop.Netns) string {
	if n == nil {
		return ""
	}
	if name := netnsName(n, p.s.ASCII); name != "" {
		return name
	}
	return "this namespace"
}

// rule shows one of the rules that a finding is about.
func (p *examinationPrinter) rule(r *drop.Rule, _ int) {
	if r.Text == "" {
		return
	}
	n := ""
	if r.Number != 0 {
		n = strconv.Itoa(r.Number) + ":\x00"
	}
	p.body(n + Escape(r.Text, p.s.ASCII))
}

// Closing is the last line: how much there is, and how bad.
func (e *Examination) Closing(s Style, elapsed time.Duration) string {
	rules := 0
	for _, f := range e.Firewalls {
		rules += f.Rules
	}
	facts := []string{Plural(uint64(len(e.Findings)), "finding", "findings")}
	for _, severity := range []string{"high", "medium", "low"} {
		n := 0
		for i := range e.Findings {
			if e.Findings[i].Severity == severity {
				n++
			}
		}
		if n > 0 {
			facts = append(facts, strconv.Itoa(n)+" "+severity)
		}
	}
	if n := len(e.NotLookedAt); n > 0 {
		facts = append(facts, Plural(uint64(n), "thing", "things")+" not looked at")
	}
	facts = append(facts, Plural(uint64(rules), "rule", "rules")+" looked at", seconds(elapsed))
	text := s.appendLine(nil, line{text: strings.Join(facts, s.sep()), indent: narrowIndent})
	return string(text)
}
