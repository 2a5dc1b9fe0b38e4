package diagnose

import (
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// firewalldSites: a rich rule goes into the allow chain of the zone, or of the
// policy between zones, that the packet was sorted into.
func (d *diagnosis) firewalldSites(p replay.Place) []site {
	prefix := ""
	if p.Chain.Table.Engine == ruleset.NFTables {
		prefix = "filter_"
	}
	switch p.Base.Hook {
	case "input":
		for _, step := range slices.Backward(d.steps()) {
			zone, ok := firewalldPart(step.Chain.Name, prefix+"IN_")
			if !ok {
				continue
			}
			if chain := chainNamed(p.Chain.Table, prefix+"IN_"+zone+"_allow"); chain != nil {
				return []site{d.richRuleSite(chain, "--zone="+zone)}
			}
		}
	case "forward":
		return d.policySites(p.Chain.Table, prefix)
	}
	return nil
}

// firewalldPart is the zone or policy that a chain is of.
func firewalldPart(chain, prefix string) (name string, ok bool) {
	name, ok = strings.CutPrefix(chain, prefix)
	for _, suffix := range []string{"_pre", "_log", "_deny", "_allow", "_post"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name, ok
}

func (d *diagnosis) richRuleSite(chain *ruleset.Chain, object string) site {
	return site{chain, len(chain.Rules), oneCommand(func(s *spec) string {
		rule := s.richRule()
		if rule == "" {
			return ""
		}
		return d.shell("firewall-cmd", object, "--add-rich-rule="+rule)
	})}
}

// policySites: what is forwarded is allowed by policies between zones (firewalld
// 0.9); a zone has rules for what comes to the host only. Policies are asked before
// the zone refuses, those with a negative priority, which is usual, in the chain
// that ends in _pre.
func (d *diagnosis) policySites(t *ruleset.Table, prefix string) []site {
	first := chainNamed(t, prefix+"FORWARD_POLICIES_pre")
	if first == nil {
		return nil
	}
	last := chainNamed(t, prefix+"FORWARD_POLICIES_post")
	var sites []site
	zone, reached := "", false
	for _, step := range d.steps() {
		if step.Chain.Table != t {
			continue
		}
		name, ok := firewalldPart(step.Chain.Name, prefix+"FWD_")
		switch {
		case !ok:
		case leadsFrom(first, step.Chain) || leadsFrom(last, step.Chain):
			policy := strings.TrimPrefix(name, "policy_") // before it with nftables only
			if chain := chainNamed(t, step.Chain.Name+"_allow"); chain != nil {
				sites = append(sites, d.richRuleSite(chain, "--policy="+policy))
			}
		case !reached:
			zone, reached = d.ingressZone(step.Chain, name), true
		}
	}
	if reached {
		sites = append(sites, d.newPolicySite(first, prefix, zone))
	}
	return sites
}

// ingressZone is what a policy names as the packet's zone. It holds for the
// interfaces and sources that were given to the zone, and not for all others that
// come to it because it is the default.
func (d *diagnosis) ingressZone(chain *ruleset.Chain, zone string) string {
	for _, step := range d.steps() {
		if step.Truth != replay.Yes || step.Rule == nil || !leadsTo(step.Rule, chain) {
			continue
		}
		if s := shapeOf(step.Rule); len(s.conditions) > 0 {
			return zone
		}
	}
	return "ANY"
}

// leadsFrom reports whether a rule of from jumps or goes to the chain.
func leadsFrom(from, to *ruleset.Chain) bool {
	return from != nil && slices.ContainsFunc(from.Rules, func(r *ruleset.Rule) bool { return leadsTo(r, to) })
}

func leadsTo(r *ruleset.Rule, to *ruleset.Chain) bool {
	return slices.ContainsFunc(r.Statements, func(s ruleset.Statement) bool {
		v, ok := s.(*ruleset.Verdict)
		return ok && v.Target == to
	})
}

// newPolicySite: a policy can be made in the permanent configuration only.
func (d *diagnosis) newPolicySite(chain *ruleset.Chain, prefix, zone string) site {
	return site{chain, len(chain.Rules), func(s *spec) []string {
		rule, name := s.richRule(), s.policyName()
		for _, taken := range []string{"FWD_policy_", "FWD_"} {
			if chainNamed(chain.Table, prefix+taken+name) != nil {
				return nil
			}
		}
		if rule == "" {
			return nil
		}
		policy := "--policy=" + name
		return []string{
			d.shell("firewall-cmd", "--permanent", "--new-policy="+name),
			d.shell("firewall-cmd", "--permanent", policy, "--add-ingress-zone="+zone),
			d.shell("firewall-cmd", "--permanent", policy, "--add-egress-zone=ANY"),
			d.shell("firewall-cmd", "--permanent", policy, "--add-rich-rule="+rule),
			d.shell("firewall-cmd", "--reload"),
		}
	}}
}

// policyName has at most the 18 characters that firewalld takes.
func (s *spec) policyName() string {
	name := "allow-" + s.proto.String()
	if s.dport != 0 {
		name += "-" + strconv.Itoa(int(s.dport))
	}
	return name
}

// richRule is the spec in firewalld's language; "" where it has none for it.
func (s *spec) richRule() string {
	if s.established || s.bridged || s.in != "" || s.out != "" {
		return ""
	}
	family := "ipv4"
	if s.family == "ip6" {
		family = "ipv6"
	}
	var b strings.Builder
	b.WriteString(`rule family="` + family + `"`)
	if source := s.source(); source != "" {
		b.WriteString(` source address="` + source + `"`)
	}
	if s.dst.IsValid() {
		b.WriteString(` destination address="` + s.dst.String() + `"`)
	}
	switch {
	case s.dport != 0:
		b.WriteString(` port port="` + strconv.Itoa(int(s.dport)) + `" protocol="` + s.proto.String() + `"`)
	case s.hasICMPType:
		// Types go by names of firewalld's own; this one is for both families.
		if s.icmpType != echoRequest(s.family) {
			return ""
		}
		b.WriteString(` icmp-type name="echo-request"`)
	default:
		b.WriteString(` protocol value="` + s.proto.String() + `"`)
	}
	b.WriteString(" accept")
	return b.String()
}
