package replay

import (
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestNatChainsAreMetOnlyWhereConntrackIsInUse(t *testing.T) {
	rules := func(more ...ruleset.Statement) []*ruleset.Ruleset {
		table := &ruleset.Table{Engine: ruleset.NFTables, Family: "ip", Name: "n"}
		base := &ruleset.Chain{Table: table, Name: "pre", Hook: "prerouting", Type: "nat", Priority: -100, Policy: "accept"}
		drop := &ruleset.Rule{Chain: base, Number: 1, Read: true, Statements: []ruleset.Statement{&ruleset.Verdict{Kind: ruleset.Drop}}}
		other := &ruleset.Chain{Table: table, Name: "in", Hook: "input", Type: "filter", Policy: "accept"}
		other.Rules = []*ruleset.Rule{{Chain: other, Number: 1, Read: true, Statements: append(more, &ruleset.Verdict{Kind: ruleset.Accept})}}
		base.Rules = []*ruleset.Rule{drop}
		table.Chains = []*ruleset.Chain{base, other}
		return []*ruleset.Ruleset{{Tables: []*ruleset.Table{table}}}
	}
	state := &ruleset.Match{Fields: []ruleset.Field{ruleset.CTState}, Ranges: []ruleset.Range{{From: make([]byte, 4), To: make([]byte, 4)}}, Negate: true}
	for _, tt := range []struct {
		name string
		more []ruleset.Statement
		env  Environment
		want Verdict
	}{
		{"not in use", nil, trackerEnv{in: false}, Accepted},
		{"in use by others", nil, trackerEnv{in: true}, Dropped},
		{"in use by a rule", []ruleset.Statement{state}, trackerEnv{in: false}, Dropped},
		{"not known", nil, nil, CannotKnow},
		{"a limit does not use it", []ruleset.Statement{&ruleset.Opaque{Kind: "limit", Understood: true, MayFail: true}}, trackerEnv{}, Accepted},
		{"what is not known may", []ruleset.Statement{&ruleset.Opaque{Kind: "connlimit", Understood: true, MayFail: true}}, trackerEnv{}, Dropped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := *udp(80)
			p.Conntrack = Conntrack{State: ruleset.CTNew}
			got := At(rules(tt.more...), Hook{Family: "ip", Name: "prerouting"}, &p, tt.env, Options{})
			if got.Verdict != tt.want {
				t.Errorf("verdict is %d, want %d", got.Verdict, tt.want)
			}
		})
	}
}

// trackerEnv knows only whether conntrack is in use.
type trackerEnv struct{ in bool }

func (trackerEnv) FIB(*Packet, uint8, ruleset.FIBResult) ([]byte, Presence) { return nil, NotKnown }
func (trackerEnv) Link(Interface, ruleset.Field) ([]byte, Presence)         { return nil, NotKnown }
func (e trackerEnv) Tracks() (bool, bool)                                   { return e.in, true }
