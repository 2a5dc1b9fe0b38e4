package replay

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

// Tracker is an [Environment] that knows whether conntrack looks at the namespace's
// packets for another reason than its rules, as for IPVS or Open vSwitch.
type Tracker interface {
	Tracks() (in bool, ok bool)
}

// tracks reports whether some rule has conntrack look at the namespace's packets
// (nf_ct_netns_get). Where none does, packets have no connection, and the NAT hook
// passes over its chains (nf_nat_inet_fn): a chain of type nat by itself does not
// have it look.
func tracks(rulesets []*ruleset.Ruleset) bool {
	for _, rs := range rulesets {
		if rs == nil {
			continue
		}
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					if !r.Read || tracksIn(r.Statements) {
						return true
					}
				}
			}
		}
	}
	return false
}

func tracksIn(list []ruleset.Statement) bool {
	for _, s := range list {
		var fields []ruleset.Field
		switch s := s.(type) {
		case *ruleset.NAT:
			return true
		case *ruleset.Match:
			fields = s.Fields
		case *ruleset.VerdictMap:
			fields = s.Fields
		case *ruleset.Assign:
			fields = []ruleset.Field{s.Field, s.From}
		case *ruleset.Opaque:
			if !withoutConntrack(s.Kind) {
				return true
			}
		case *ruleset.Any:
			for _, alternative := range s.Of {
				if tracksIn(alternative) {
					return true
				}
			}
		}
		for _, f := range fields {
			if f != 0 && f.IsConntrack() {
				return true
			}
		}
	}
	return false
}

// withoutConntrack lists kinds of steps that are known to do without; of all others
// it is not known.
func withoutConntrack(kind string) bool {
	switch kind {
	case "limit", "hashlimit", "quota", "random", "numgen", "time", "recent", "u32", "string", "bpf", "policy", "ipsec",
		"rpfilter", "route", "cgroup", "osf", "owner", "devgroup", "realm", "physdev", "ecn", "tcpmss", "tproxy", "TPROXY":
		return true
	}
	return false
}

// inUse is whether packets of this run have a connection.
func (r *run) inUse() Truth {
	if r.f.tracks {
		return Yes
	}
	if t, ok := r.env.(Tracker); ok {
		switch in, known := t.Tracks(); {
		case !known:
		case in:
			return Yes
		default:
			return No
		}
	}
	return Unknown
}
