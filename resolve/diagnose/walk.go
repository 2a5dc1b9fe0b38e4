package diagnose

import (
	"iter"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// diagnosis is a Case with what its replay showed.
type diagnosis struct {
	c   *Case
	f   facts
	raw replay.Packet // as it was at the drop
	// state is conntrack's at the drop, which Before may take back.
	state uint32
	// result is the replay at the case's hook. Its steps are told only where
	// agrees.
	result *replay.Result
	agrees bool
	// settled are rules that are known not to have ended the packet's way: those
	// that do not match it, and those of which the ruleset leaves it open, but
	// the packet came to the place after them. Without them the same becomes of
	// the packet.
	settled map[*ruleset.Rule]bool
	near    []miss // see misses
	// unnamed says that a command was left out for a name in it.
	unnamed bool
	// then are the rulesets with a copied rule in its new place, which may ask for more
	// than the packet's own values: a state, flags.
	then  []*ruleset.Ruleset
	asked bool
}

// newDiagnosis replays the packet. Where the replay does not come to the place
// that the kernel named, the model is not the kernel's ruleset (or the packet not
// the one that met it), and nothing that it says is proven.
func newDiagnosis(c *Case) *diagnosis {
	own := *c // the packet is changed
	c = &own
	d := &diagnosis{c: c, raw: c.Packet, f: readFacts(&c.Packet), state: c.Packet.Conntrack.State}
	if c.Place.Base == nil {
		return d
	}
	if c.Firewall == nil {
		c.Firewall = replay.New(c.Rulesets...)
	}
	d.c.Packet = entering(c)
	d.result = c.Firewall.At(c.Hook, &c.Packet, c.Environment, replay.Options{Steps: true})
	same := func(p replay.Place) bool {
		return p.Rule == c.Place.Rule && p.Base == c.Place.Base && (p.Rule != nil || p.Chain == c.Place.Chain)
	}
	if dropped(d.result.Verdict) || d.result.Verdict == replay.CannotKnow {
		d.agrees = same(d.result.Last) || slices.ContainsFunc(d.result.Candidates, same)
	}
	if d.agrees {
		d.settle()
	}
	return d
}

// entering is the packet as it came to the hook. NAT's own chains stand behind the
// filter at input, so that what it is there is what it was.
func entering(c *Case) replay.Packet {
	p := c.Packet
	status := p.Conntrack.Status
	if c.Hook.Name == "input" {
		p.Conntrack.Status = 0
	}
	p = c.Firewall.Before(c.Hook, p)
	p.Conntrack.Status = status
	return p
}

// settle finds the rules before the place that can be left out.
func (d *diagnosis) settle() {
	d.settled = make(map[*ruleset.Rule]bool, len(d.result.Steps))
	for i := range d.result.Steps {
		step := &d.result.Steps[i]
		if step.Rule == nil || step.Rule == d.c.Place.Rule {
			if step.Base == d.c.Place.Base {
				return
			}
			continue
		}
		out := step.Truth == replay.No ||
			step.Truth == replay.Unknown && endsOnly(step.Rule)
		// A chain that is walked twice may have marks set in between.
		if before, seen := d.settled[step.Rule]; seen {
			out = out && before
		}
		d.settled[step.Rule] = out
	}
}

// endsOnly reports whether all that a rule can do is end a packet's way.
func endsOnly(r *ruleset.Rule) bool {
	s := shapeOf(r)
	return len(targets(r)) == 0 && !s.odd && !s.assigns
}

// accepts reports whether the packet passes the hook in these rulesets.
func (d *diagnosis) accepts(rulesets []*ruleset.Ruleset, p *replay.Packet) bool {
	return d.replay(rulesets, p, false).Verdict == replay.Accepted
}

// acceptedBy is the rule that lets the packet out of a base chain; nil where none
// does, or it cannot be known.
func (d *diagnosis) acceptedBy(rulesets []*ruleset.Ruleset, base *ruleset.Chain, p *replay.Packet) *ruleset.Rule {
	r := d.replay(rulesets, p, true)
	if r.Verdict != replay.Accepted {
		return nil
	}
	var last *replay.Step
	for i := range r.Steps {
		if r.Steps[i].Base == base {
			last = &r.Steps[i]
		}
	}
	if last == nil || last.Truth != replay.Yes {
		return nil
	}
	switch s := last.At.(type) {
	case *ruleset.Verdict:
		if s.Kind == ruleset.Accept {
			return last.Rule
		}
	case *ruleset.VerdictMap:
		return last.Rule // a jump would not have been the last step
	}
	return nil
}

// byDefault reports whether the drop is the policy or a rule that stands for
// one.
func (d *diagnosis) byDefault() bool {
	if d.c.Place.Rule == nil {
		return true
	}
	s := d.dropper().shape
	return d.c.Place.Rule.Read && s.broad()
}

// jumpIn is the rule of chain that the walk to the drop went through; the
// dropping rule itself where the chain is its own. index is len(rules) for a
// policy.
func (d *diagnosis) jumpIn(chain *ruleset.Chain) (index int, ok bool) {
	p := d.c.Place
	if p.Chain == chain {
		if p.Rule == nil {
			return len(chain.Rules), true
		}
		return slices.Index(chain.Rules, p.Rule), true
	}
	// The way back: the last step of each depth less.
	depth := -1
	for _, step := range slices.Backward(d.steps()) {
		switch {
		case step.Base != p.Base || step.Rule == nil:
			continue
		case depth < 0:
			if step.Rule != p.Rule {
				continue
			}
			depth = step.Depth
		case step.Depth < depth:
			depth = step.Depth
			if step.Chain == chain {
				return slices.Index(chain.Rules, step.Rule), true
			}
		}
	}
	return 0, false
}

// lastIn is the index of the last rule of a base chain that the packet came to; -1
// where it came to none.
func (d *diagnosis) lastIn(base *ruleset.Chain) int {
	for _, step := range slices.Backward(d.steps()) {
		if step.Chain == base && step.Rule != nil {
			return slices.Index(base.Rules, step.Rule)
		}
	}
	return -1
}

// rules are all of the namespace.
func (d *diagnosis) rules() iter.Seq[*ruleset.Rule] {
	return func(yield func(*ruleset.Rule) bool) {
		for _, rs := range d.c.Rulesets {
			for _, t := range rs.Tables {
				for _, c := range t.Chains {
					for _, r := range c.Rules {
						if !yield(r) {
							return
						}
					}
				}
			}
		}
	}
}

func (d *diagnosis) steps() []replay.Step {
	if d.result == nil {
		return nil
	}
	return d.result.Steps
}
