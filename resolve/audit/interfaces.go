package audit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const NoInterface Code = "no-such-interface"

// missingInterfaces looks for rules on interfaces that are not there. One finding
// for each name: a whole zone of rules may speak of it.
func missingInterfaces(rulesets []*ruleset.Ruleset, there []Interface) []Finding {
	if len(there) == 0 {
		return nil
	}
	var order []string
	byName := make(map[string]*Finding)
	eachRule(rulesets, func(r *ruleset.Rule) {
		for _, s := range r.Statements {
			m, ok := s.(*ruleset.Match)
			if !ok {
				continue
			}
			for _, name := range absent(m, there) {
				f := byName[name]
				if f == nil {
					f = &Finding{Code: NoInterface, Severity: Low, Chain: r.Chain}
					byName[name] = f
					order = append(order, name)
				}
				if len(f.Rules) < maxListed {
					f.Rules = append(f.Rules, r)
				} else {
					f.More++
				}
			}
		}
	})
	var out []Finding
	for _, name := range order {
		f := byName[name]
		one := "rule speaks"
		if n := len(f.Rules) + f.More; n > 1 {
			one = fmt.Sprintf("rules speak (%d)", n)
		}
		f.Message = fmt.Sprintf("there is no interface %s, of which %s in %s", name, one, f.Chain.FullName())
		out = append(out, *f)
	}
	return out
}

// absent lists the interfaces that a match asks for and that are not there: a
// name, a beginning with its star, or an index.
func absent(m *ruleset.Match, there []Interface) []string {
	if len(m.Fields) != 1 || m.Mask != nil {
		return nil
	}
	ranges := m.Ranges
	if m.Set != nil {
		if !m.Set.Complete || m.Set.Dynamic {
			return nil
		}
		ranges = nil
		for _, e := range m.Set.Elements {
			if !e.NoMatch && !e.CatchAll {
				ranges = append(ranges, e.Range)
			}
		}
	}
	var out []string
	for _, r := range ranges {
		name, ok := interfaceOf(m.Fields[0], r)
		if ok && !slices.ContainsFunc(there, func(i Interface) bool { return named(m.Fields[0], i, r) }) {
			out = append(out, name)
		}
	}
	return out
}

// interfaceOf tells what a range of an interface field means, for people.
func interfaceOf(f ruleset.Field, r ruleset.Range) (string, bool) {
	switch f {
	case ruleset.InName, ruleset.OutName, ruleset.InPhysical, ruleset.OutPhysical:
		name := strings.TrimRight(string(r.From), "\x00")
		switch {
		case name == "":
			return "", false
		case bytes.Equal(r.From, r.To):
			return name, true
		case strings.HasPrefix(string(r.To), name):
			return name + "*", true
		}
	case ruleset.InIndex, ruleset.OutIndex:
		if index := binary.BigEndian.Uint32(r.From); index != 0 && bytes.Equal(r.From, r.To) {
			return fmt.Sprintf("with index %d", index), true
		}
	}
	return "", false
}

func named(f ruleset.Field, i Interface, r ruleset.Range) bool {
	var value []byte
	switch f {
	case ruleset.InIndex, ruleset.OutIndex:
		value = binary.BigEndian.AppendUint32(nil, uint32(i.Index))
	default:
		value = make([]byte, f.Size())
		copy(value, i.Name)
	}
	return bytes.Compare(r.From, value) <= 0 && bytes.Compare(value, r.To) <= 0
}

// eachRule visits the rules of all tables.
func eachRule(rulesets []*ruleset.Ruleset, visit func(*ruleset.Rule)) {
	for _, rs := range rulesets {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					visit(r)
				}
			}
		}
	}
}
