package replay

import (
	"cmp"
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Firewall is all rulesets of a network namespace, compiled for evaluation. It
// never changes and may be used by several goroutines.
type Firewall struct {
	bases  []*chain
	chains map[*ruleset.Chain]*chain // all of them
	// slots number the fields that any rule looks at, so that a packet's values
	// are found by number.
	slots  map[ruleset.Field]int
	fields []ruleset.Field
	tracks bool // see tracks
	// reads tells where a slot's value comes from.
	reads []source
}

// New compiles rulesets: one for each engine of the namespace. Nil ones are
// passed over.
func New(rulesets ...*ruleset.Ruleset) *Firewall {
	c := compiler{
		f:       &Firewall{slots: make(map[ruleset.Field]int), tracks: tracks(rulesets)},
		chains:  make(map[*ruleset.Chain]*chain),
		indexes: make(map[setKey]*ruleset.Index),
	}
	c.f.chains = c.chains
	for _, rs := range rulesets {
		if rs == nil {
			continue
		}
		for _, t := range rs.Tables {
			for _, ch := range t.Chains {
				compiled := c.chain(ch)
				if ch.IsBase() {
					c.f.bases = append(c.f.bases, compiled)
				}
			}
		}
	}
	return c.f
}

// Fields are all that a rule looks at, each once. What a step that is not
// understood looks at is not among them.
func (f *Firewall) Fields() []ruleset.Field { return slices.Clone(f.fields) }

// At evaluates a packet at a hook of these rulesets. Who asks more than once
// keeps a [Firewall].
func At(rulesets []*ruleset.Ruleset, h Hook, p *Packet, env Environment, o Options) *Result {
	return New(rulesets...).At(h, p, env, o)
}

// group is what runs at one priority: base chains whose order is not known, or
// the nat chains, which one hook calls in the order of their own priorities.
type group struct {
	priority int32
	nat      bool
	chains   []*chain
}

// groups are the base chains of a hook in the kernel's order. Of chains of equal
// priority the one registered later runs first (nf_hook_entries_grow), which a
// ruleset does not tell.
func (f *Firewall) groups(h Hook) []group {
	var out []group
	nat := group{nat: true, priority: natPriority(h.Name)}
	for _, c := range f.bases {
		if !c.at(h) {
			continue
		}
		if c.src.Type == "nat" {
			nat.chains = append(nat.chains, c)
			continue
		}
		n := slices.IndexFunc(out, func(g group) bool { return g.priority == c.src.Priority })
		if n < 0 {
			out = append(out, group{priority: c.src.Priority})
			n = len(out) - 1
		}
		out[n].chains = append(out[n].chains, c)
	}
	if len(nat.chains) > 0 {
		slices.SortStableFunc(nat.chains, func(a, b *chain) int {
			return cmp.Compare(a.src.Priority, b.src.Priority)
		})
		out = append(out, nat)
	}
	slices.SortStableFunc(out, func(a, b group) int { return cmp.Compare(a.priority, b.priority) })
	return out
}

// natPriority is where the NAT hook itself stands (nf_nat_ipv4_ops): nat chains
// of whatever priority hang behind it.
func natPriority(hook string) int32 {
	if hook == "prerouting" || hook == "output" {
		return -100
	}
	return 100
}

// at reports whether packets of a hook enter the chain.
func (c *chain) at(h Hook) bool {
	if c.src.Hook != h.Name {
		return false
	}
	family := c.src.Table.Family
	switch {
	case h.Name == "ingress" || h.Name == "egress":
		return (family == h.Family || family == "inet") && slices.Contains(c.src.Devices, h.Device)
	case family == h.Family:
		return true
	}
	return family == "inet" && (h.Family == "ip" || h.Family == "ip6")
}
