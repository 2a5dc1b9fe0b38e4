package output

import (
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
)

// maxCandidates is how many rules are told apart where one of several did it.
const maxCandidates = 4

// verdictLabel is the word that stands before a drop's facts.
func (s Style) verdictLabel(d *drop.Drop) (label, color string) {
	switch d.Verdict {
	case "reject":
		return "reject", yellow
	case "queue_failed":
		return "queue", red
	case "":
		return "drop", red
	}
	return Escape(d.Verdict, true), red
}

// facts joins what is known of the place: hook and interfaces, the rule or the
// kernel's reason, conntrack state, and what else is unusual.
func (s Style) facts(d *drop.Drop) string {
	f := make([]string, 0, 8)
	add := func(fact string) {
		if fact != "" {
			f = append(f, fact)
		}
	}
	if d.Verdict == "queue_failed" {
		add("failed: nobody took it from its queue")
	}
	add(s.hook(d))
	add(s.netns(&d.Netns))
	switch d.Cause {
	case "kernel":
		add(s.kernel(d))
	case "hook":
		add("hook function " + Escape(orUnknown(d.Function), s.ASCII))
		add(s.attributed(d))
	default:
		add(s.attributed(d))
	}
	add(s.conntrack(d.Conntrack))
	if v := d.Packet.VLAN; v != nil {
		add("vlan\x00" + strconv.Itoa(int(*v)))
	}
	if d.Packet.Mark != 0 {
		add("mark\x000x" + strconv.FormatUint(uint64(d.Packet.Mark), 16))
	}
	add(s.socket(d))
	return strings.Join(f, s.sep())
}

// socket names who sent the packet, or whom it was for: processes, or else the user.
func (s Style) socket(d *drop.Drop) string {
	if p := d.Process; p != nil {
		return "sent by " + s.process(p)
	}
	k := d.Socket
	if k == nil {
		return ""
	}
	verb := "sent by "
	if k.Role == drop.Receiver {
		verb = "for "
	}
	switch n := len(k.Processes); {
	case n == 0:
		return verb + "a socket of uid\x00" + strconv.FormatUint(uint64(k.UID), 10)
	case n == 1:
		return verb + s.process(&k.Processes[0])
	default:
		return verb + "a socket of " + strconv.Itoa(n) + " processes, " + s.process(&k.Processes[0]) + " among them"
	}
}

func (s Style) process(p *drop.Process) string {
	return Escape(p.Command, s.ASCII) + "\x00(" + strconv.Itoa(p.PID) + ")"
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// hook is where in the packet's path: "forward docker0 → eth0".
func (s Style) hook(d *drop.Drop) string {
	name := Escape(d.Hook, s.ASCII)
	if name == "" && d.Cause == "kernel" {
		name = "kernel"
	}
	var in, out string
	if d.In != nil {
		in = s.device(d.In)
	}
	if d.Out != nil {
		out = s.device(d.Out)
	}
	devices := in + out
	if in != "" && out != "" {
		devices = in + s.arrow() + out
	}
	if name != "" && devices != "" {
		name += "\x00"
	}
	return name + devices
}

// device falls back on the index: an interface may be gone before it was named.
func (s Style) device(i *drop.Interface) string {
	if i.Name == "" {
		return "interface\x00" + strconv.FormatUint(uint64(i.Index), 10)
	}
	return Escape(i.Name, s.ASCII)
}

// kernel tells a drop with no netfilter in it: the reason's name, to search for,
// the place, and the reason in words.
func (s Style) kernel(d *drop.Drop) string {
	where := strings.TrimSpace(Escape(d.Reason, s.ASCII) + " " + Escape(d.Location, s.ASCII))
	if text := explain(d); text != "" {
		where += s.sep() + text
	}
	if a := d.Attribution; a.Note != "" && a.Certainty != drop.Certain {
		where += s.sep() + "cause not known: " + Escape(a.Note, s.ASCII)
	}
	return where
}

// explain is the kernel's reason, and its place, in words.
func explain(d *drop.Drop) string {
	function, _, _ := strings.Cut(d.Location, "+")
	return symbol.Explain(function, d.Reason)
}

// attributed names the rule, and never so that a guess reads like a fact.
func (s Style) attributed(d *drop.Drop) string {
	a := &d.Attribution
	switch {
	case a.Certainty == drop.Certain && d.Rule != nil:
		return s.ruleAt(d.Rule)
	case a.Certainty == drop.Certain:
		return ""
	case a.Certainty == drop.Probable && a.Method == "conntrack":
		return "probably"
	case len(a.Candidates) > 1:
		return s.candidates(a.Candidates)
	case a.Certainty == drop.Probable && d.Rule != nil:
		return s.probably(d.Rule)
	case a.Certainty == drop.Probable && len(a.Candidates) == 1:
		return s.probably(&a.Candidates[0])
	}
	text := "rule not known"
	if d.Cause == "hook" {
		text = "cause not known"
	}
	if d.Rule != nil && d.Rule.Chain != "" {
		text = chainName(d.Rule, s.ASCII) + " " + text
	}
	if a.Note != "" {
		text += ": " + Escape(a.Note, s.ASCII)
	}
	if d.Location != "" {
		text += s.sep() + "at\x00" + Escape(d.Location, s.ASCII)
	}
	return text
}

func (s Style) ruleAt(r *drop.Rule) string {
	return chainName(r, s.ASCII) + " " + place(r) + s.from(r)
}

func (s Style) probably(r *drop.Rule) string {
	return chainName(r, s.ASCII) + " probably\x00" + place(r) + s.from(r)
}

// from names the base chain by which the packet came to a user-defined one.
func (s Style) from(r *drop.Rule) string {
	if r.BaseChain == "" || r.BaseChain == r.Chain {
		return ""
	}
	return " from\x00" + Escape(r.BaseChain, s.ASCII)
}

// candidates reads "one of rules 3, 7" where they stand in one chain.
func (s Style) candidates(rules []drop.Rule) string {
	oneChain := true
	for i := range rules {
		r, first := &rules[i], &rules[0]
		oneChain = oneChain && r.Number != 0 && r.Engine == first.Engine &&
			r.Family == first.Family && r.Table == first.Table && r.Chain == first.Chain
	}
	names := make([]string, len(rules))
	for i := range rules {
		if names[i] = s.ruleAt(&rules[i]); oneChain {
			names[i] = strconv.Itoa(rules[i].Number)
		}
	}
	if oneChain {
		return chainName(&rules[0], s.ASCII) + " one\x00of\x00rules\x00" + strings.Join(names, ",\x00")
	}
	return "one of " + strings.Join(names, ", ")
}

// conntrack is nothing where there was no entry: that is not the same as invalid.
func (s Style) conntrack(c *drop.Conntrack) string {
	if c == nil {
		return ""
	}
	text := "conntrack\x00" + Escape(orUnknown(c.State), s.ASCII)
	if c.Dir == "reply" && c.State == "established" {
		text += "\x00reply"
	}
	if c.TCPState != "" {
		text += " (tcp\x00" + Escape(c.TCPState, s.ASCII) + ")"
	}
	if c.Zone != 0 {
		text += " zone\x00" + strconv.Itoa(int(c.Zone))
	}
	if c.Mark != 0 {
		text += " mark\x000x" + strconv.FormatUint(uint64(c.Mark), 16)
	}
	if f := c.Failure; f != nil {
		text += " failure\x00" + causeName(f)
	}
	return text
}

// nat tells both tuples where they are not each other's mirror: the addresses
// that the sender and the rule speak of differ.
func (s Style) nat(c *drop.Conntrack) string {
	if c == nil || len(c.NAT) == 0 || c.Original == nil || c.Reply == nil {
		return ""
	}
	return Escape(strings.Join(c.NAT, " "), s.ASCII) + s.sep() +
		"original\x00" + tuple(c.Original) + s.sep() + "reply\x00" + tuple(c.Reply)
}

// tuple writes a conntrack tuple as a flow.
func tuple(t *drop.Tuple) string {
	var sport, dport *uint16
	if t.SourcePort != 0 || t.DestinationPort != 0 {
		sport, dport = &t.SourcePort, &t.DestinationPort
	}
	b := appendEndpoint(nil, t.Source, sport)
	b = append(b, "\x00>\x00"...)
	return string(appendEndpoint(b, t.Destination, dport))
}
