package explain

import (
	"bytes"
	"context"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve"
	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/explain"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// explainer asks one subject's rules about one packet.
type explainer struct {
	*subject
	*flagPacket
	trace bool
}

// journey follows the packet, or asks one hook alone.
func (a *explainer) journey(p *replay.Packet) *replay.Journey {
	fw := replay.New(a.rules.List...)
	env := a.environment(p.Out)
	o := replay.Options{Steps: true}
	if a.hook == "" {
		return fw.Journey(p, env, o)
	}
	h := replay.Hook{Family: "ip", Name: a.hook}
	switch {
	case a.hook == "ingress":
		h.Family, h.Device = "netdev", a.in
	case a.hook == "egress":
		h.Family, h.Device = "netdev", a.out
	case p.EtherType == 0x86dd:
		h.Family = "ip6"
	}
	res := fw.At(h, p, env, o)
	return &replay.Journey{
		Stages:  []replay.Stage{{Hook: h, Packet: *p, Result: res}},
		Verdict: res.Verdict, Last: res.Last, Candidates: res.Candidates,
	}
}

// way is a journey as it is printed.
func (a *explainer) way(ctx context.Context, j *replay.Journey) output.Way {
	w := output.Way{Verdict: verdictName(j.Verdict), Stages: []output.Stage{}, Stopped: j.Stopped}
	for i := range j.Stages {
		w.Stages = append(w.Stages, a.stage(ctx, &j.Stages[i]))
	}
	if n := len(j.Stages); n > 0 {
		w.Why = a.why(ctx, j, &j.Stages[n-1])
	}
	return w
}

func verdictName(v replay.Verdict) string {
	switch v {
	case replay.Accepted:
		return "accept"
	case replay.Dropped:
		return "drop"
	case replay.Rejected:
		return "reject"
	case replay.Queued:
		return "queue"
	case replay.Taken:
		return "stolen"
	}
	return "unknown"
}

func (a *explainer) stage(ctx context.Context, s *replay.Stage) output.Stage {
	if s.Route != nil {
		return routeStage(s)
	}
	g := output.Stage{
		Hook: s.Hook.Name, Family: s.Hook.Family, Verdict: verdictName(s.Result.Verdict),
		In: device(s.Packet.In), Out: device(s.Packet.Out),
	}
	if s.Hook.Device != "" && g.In == nil && s.Hook.Name == "ingress" {
		g.In = &drop.Interface{Name: s.Hook.Device}
	}
	if r := s.Result; r.Verdict != replay.Accepted && r.Last.Chain != nil {
		g.Rule = a.describe(ctx, r.Last)
	} else if r.Verdict != replay.Accepted {
		for _, c := range r.Candidates {
			g.Candidates = append(g.Candidates, *a.describe(ctx, c))
		}
	}
	for _, d := range s.Result.Doubts {
		g.Doubts = append(g.Doubts, a.doubt(ctx, d))
	}
	for i := range s.Result.Steps {
		if s.Result.Steps[i].Rule != nil && s.Result.Steps[i].Reached != replay.No {
			g.Rules++
		}
		if a.trace {
			g.Steps = append(g.Steps, a.step(ctx, &s.Result.Steps[i]))
		}
	}
	if s.Result.Verdict == replay.Accepted {
		becomes(&g, &s.Packet, &s.Result.After)
	}
	return g
}

// becomes tells what rules changed of the packet.
func becomes(g *output.Stage, before, after *replay.Packet) {
	if !bytes.Equal(before.Bytes, after.Bytes) {
		b, p := resolve.PacketOf(before), resolve.PacketOf(after)
		if b.Source != p.Source || b.Destination != p.Destination ||
			port(b.SourcePort) != port(p.SourcePort) || port(b.DestinationPort) != port(p.DestinationPort) {
			g.Becomes = &p
		}
	}
	if after.MarkKnown && after.Mark != before.Mark {
		g.Mark = &after.Mark
	}
}

func port(p *uint16) int {
	if p == nil {
		return -1
	}
	return int(*p)
}

// routeStage is the kernel's decision where the packet goes.
func routeStage(s *replay.Stage) output.Stage {
	g := output.Stage{Hook: "routing", Verdict: "route", In: device(s.Packet.In), Out: device(s.Route.Out)}
	if t := s.Route.Type; t == unix.RTN_LOCAL || t == unix.RTN_BROADCAST || t == unix.RTN_MULTICAST {
		g.Local, g.Out = true, nil
	}
	if s.Route.Refused != "" {
		g.Verdict = "drop"
	}
	return g
}

func device(i replay.Interface) *drop.Interface {
	if i.Name == "" {
		return nil
	}
	index := i.Index
	if index == noIndex {
		index = 0
	}
	return &drop.Interface{Index: index, Name: i.Name}
}

// describe names a place as the live command's records do.
func (a *explainer) describe(ctx context.Context, p replay.Place) *drop.Rule {
	r := resolve.RuleOf(p)
	if p.Rule != nil {
		r.Text = a.rules.Text(ctx, p.Rule)
	}
	return r
}

func (a *explainer) doubt(ctx context.Context, d replay.Step) output.Doubt {
	out := output.Doubt{Why: d.Why, At: textOf(d.At)}
	if d.Chain != nil {
		out.Rule = *a.describe(ctx, d.Place)
	}
	return out
}

func (a *explainer) step(ctx context.Context, s *replay.Step) output.Step {
	out := output.Step{Rule: *a.describe(ctx, s.Place), Depth: s.Depth, Result: "no match", Why: s.Why}
	switch s.Truth {
	case replay.Yes:
		out.Result = "match"
	case replay.Unknown:
		out.Result = "cannot know"
	}
	if s.Truth != replay.Yes {
		out.At = textOf(s.At)
	}
	return out
}

// textOf is a statement in its tool's words.
func textOf(s ruleset.Statement) string {
	switch s := s.(type) {
	case *ruleset.Match:
		return s.Text
	case *ruleset.Any:
		return s.Text
	case *ruleset.Header:
		return s.Text
	case *ruleset.VerdictMap:
		return s.Text
	case *ruleset.Opaque:
		return s.Text
	case *ruleset.Verdict:
		return s.Text
	case *ruleset.NAT:
		return s.Text
	case *ruleset.Assign:
		return s.Text
	}
	return ""
}

// why asks for the causes of a drop that is certain.
func (a *explainer) why(ctx context.Context, j *replay.Journey, last *replay.Stage) []drop.Why {
	c := &diagnose.Case{
		Packet: last.Packet, Hook: last.Hook, Rulesets: a.rules.List, Machine: a.machine(), Namespace: a.subject.way,
		Environment: a.environment(last.Packet.Out), Text: func(r *ruleset.Rule) string { return a.rules.Text(ctx, r) },
	}
	if state := ruleset.StateName(last.Packet.Conntrack.State); state != "" {
		c.Conntrack = &drop.Conntrack{State: state}
	}
	switch {
	case j.Refused != "":
		c.Cause, c.Verdict, c.Reason = "kernel", "drop", explain.Reason(j.Refused, last.Packet.In.Name != "")
		if c.Reason == "IP_INHDR" { // the TTL
			c.Symbol = "ip_forward"
		}
		if list := diagnose.Diagnose(c); len(list) > 0 {
			return list
		}
		return []drop.Why{{Code: "routing", Message: "the kernel does not route it: " + j.Refused}}
	case j.Verdict != replay.Dropped && j.Verdict != replay.Rejected || j.Last.Base == nil:
		return nil
	}
	c.Cause, c.Verdict, c.Place = "rule", verdictName(j.Verdict), j.Last
	if j.Last.Rule == nil {
		c.Cause = "policy"
	}
	return diagnose.Diagnose(c)
}
