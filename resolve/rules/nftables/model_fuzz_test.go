package nftables

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/statement"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// realExpressions are the expressions of the rules of all tests, as the kernel
// sends them.
func realExpressions(f *testing.F) (list [][]byte, sets [][]byte) {
	f.Helper()
	for _, g := range statementTests {
		ns := newNamespace(f)
		ns.nft(f, replaceRules(g))
		c := &conn{ns: ns}
		dump := func(typ uint16, fn func(b []byte)) {
			err := c.dump(context.Background(), request{typ: typ}, func(_ uint8, b []byte) error {
				fn(b)
				return nil
			})
			if err != nil {
				f.Fatal(err)
			}
		}
		dump(unix.NFT_MSG_GETRULE, func(b []byte) {
			a := nlattr.Walk(b)
			for a.Next() {
				if a.Type == unix.NFTA_RULE_EXPRESSIONS {
					list = append(list, append([]byte{}, a.Data...))
				}
			}
		})
		dump(unix.NFT_MSG_GETSET, func(b []byte) { sets = append(sets, append([]byte{}, b...)) })
		c.close()
	}
	return list, sets
}

// FuzzStatements feeds a rule's bytes: no panic, and whatever comes of them, the
// values fit the fields that they are of.
func FuzzStatements(f *testing.F) {
	list, sets := realExpressions(f)
	for _, b := range list {
		f.Add(uint8(unix.NFPROTO_INET), b)
	}
	var decoded []*statement.Set
	for _, b := range sets {
		s, err := statement.DecodeSet(b)
		if err != nil {
			f.Fatal(err)
		}
		decoded = append(decoded, s)
	}
	f.Fuzz(func(t *testing.T, family uint8, b []byte) {
		table := &modelTable{Table: &ruleset.Table{}, family: family, sets: make(map[string]*statement.Set)}
		for _, s := range decoded {
			copied := *s
			table.sets[s.Name] = &copied
		}
		table.chains = map[string]*modelChain{"other": {Chain: &ruleset.Chain{Name: "other"}}}
		var d statement.Decoder
		body, _ := d.Decode(family, table, b)
		for _, l := range d.Lookups {
			l.Finish()
		}
		for _, s := range body.Statements {
			if m, ok := s.(*ruleset.Match); ok {
				checkMatch(t, m)
			}
		}
	})
}

func checkMatch(t *testing.T, m *ruleset.Match) {
	t.Helper()
	size := 0
	for _, f := range m.Fields {
		size += f.Size()
	}
	if m.Mask != nil && len(m.Mask) != size {
		t.Errorf("%q: mask of %d bytes for fields of %d", m.Text, len(m.Mask), size)
	}
	for _, r := range m.Ranges {
		if len(r.From) != size || len(r.To) != size {
			t.Errorf("%q: range %x-%x for fields of %d bytes", m.Text, r.From, r.To, size)
		}
	}
	if m.Set != nil && len(m.Ranges) > 0 {
		t.Errorf("%q: ranges beside a set", m.Text)
	}
}

// FuzzSets feeds a set's bytes and its elements'.
func FuzzSets(f *testing.F) {
	_, sets := realExpressions(f)
	elements := elementBytes(verdictData(unix.NFTA_SET_ELEM_DATA, nfDrop), attr{unix.NFTA_SET_ELEM_KEY, []attr{{unix.NFTA_DATA_VALUE, []byte{1, 2, 3, 4}}}})
	for _, b := range sets {
		f.Add(b, elements)
	}
	f.Fuzz(func(t *testing.T, set, elements []byte) {
		s, err := statement.DecodeSet(set)
		if err != nil {
			return
		}
		table := &modelTable{Table: &ruleset.Table{}}
		if _, err := s.Add(elements, table); err != nil {
			return
		}
		out := s.Settle(true)
		for _, e := range out.Elements {
			if !e.CatchAll && len(e.From) != len(e.To) {
				t.Errorf("element %x-%x", e.From, e.To)
			}
		}
	})
}
