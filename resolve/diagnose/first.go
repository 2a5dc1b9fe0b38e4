package diagnose

import (
	"slices"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// ofFirstPacket is a ruleset in which every condition may fail that the first packet
// of a connection need not share with a later one: its flags, length, marks, DSCP,
// TTL and their likes. What is left is of the original tuple, of new connections, or
// of interfaces, which the packet knows or not.
func ofFirstPacket(in []*ruleset.Ruleset, v4 bool) *edit {
	e := &edit{
		rulesets: slices.Clone(in),
		origin:   make(map[*ruleset.Rule]*ruleset.Rule),
		chains:   make(map[*ruleset.Chain]*ruleset.Chain),
	}
	for i, rs := range in {
		copied := *rs
		copied.Tables = slices.Clone(rs.Tables)
		for j, t := range rs.Tables {
			copied.Tables[j] = e.copyTable(t, nil, nil, nil)
			for _, c := range copied.Tables[j].Chains {
				for _, r := range c.Rules {
					loosen(r, v4)
				}
			}
		}
		e.rulesets[i] = &copied
	}
	return e
}

// loosen has the conditions of a rule that are not of the connection's tuple fail or
// not. A verdict map of others leaves nothing to be said of the rule.
func loosen(r *ruleset.Rule, v4 bool) {
	out := slices.Clone(r.Statements)
	for i, st := range out {
		if m, is := st.(*ruleset.VerdictMap); is && !ofConnection(m.Fields, v4) {
			r.Read, r.Statements = false, nil
			return
		}
		if !sameForAll(st, v4) {
			out[i] = &ruleset.Opaque{Kind: "first packet", Understood: true, MayFail: true}
		}
	}
	r.Statements = out
}

// sameForAll reports whether a statement holds for all of a connection's packets of
// the original direction, or for none.
func sameForAll(st ruleset.Statement, v4 bool) bool {
	switch st := st.(type) {
	case *ruleset.Match:
		return ofConnection(st.Fields, v4)
	case *ruleset.Any:
		for _, alternative := range st.Of {
			if slices.ContainsFunc(alternative, func(s ruleset.Statement) bool { return !sameForAll(s, v4) }) {
				return false
			}
		}
	}
	return true
}

func ofConnection(fields []ruleset.Field, v4 bool) bool {
	return !slices.ContainsFunc(fields, func(f ruleset.Field) bool { return !fieldOfConnection(f, v4) })
}

func fieldOfConnection(f ruleset.Field, v4 bool) bool {
	switch f {
	case ruleset.EtherType, ruleset.NFProto, ruleset.L4Protocol,
		ruleset.InName, ruleset.InIndex, ruleset.OutName, ruleset.OutIndex,
		ruleset.CTState, ruleset.CTDirection, ruleset.CTL3Protocol, ruleset.CTProtocol,
		ruleset.CTOrigSource, ruleset.CTOrigDest, ruleset.CTOrigSrcPort, ruleset.CTOrigDestPort:
		return true
	}
	if key, result, ok := f.IsFIB(); ok { // addrtype: whose the addresses are
		return result == ruleset.FIBType && key&^(ruleset.FIBSource|ruleset.FIBDest) == 0
	}
	base, from, length, ok := f.IsPayload()
	if !ok {
		return false
	}
	within := func(low, high int) bool { return from >= low && from+length <= high }
	switch {
	case base == ruleset.Transport:
		return within(0, 4) // ports, or type and code
	case base != ruleset.Network:
		return false
	case v4:
		return within(9, 10) || within(12, 20)
	}
	return within(6, 7) || within(8, 40)
}
