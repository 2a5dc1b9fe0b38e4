package nftables

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnreadMapLeadsAnywhere(t *testing.T) {
	kernel := func(elements ...[]byte) *fakeKernel {
		ip := uint8(unix.NFPROTO_IPV4)
		vmap := expression("lookup", attr{unix.NFTA_LOOKUP_SET, "vm"}, attr{unix.NFTA_LOOKUP_DREG, uint32(0)})
		return &fakeKernel{
			objects: map[uint16][]object{
				unix.NFT_MSG_GETTABLE: {{ip, tableBytes("t", 1)}},
				unix.NFT_MSG_GETCHAIN: {
					{ip, baseBytes("t", "in", 1, 1, 0, nfAccept)},
					{ip, chainBytes("t", "a", 2)},
					{ip, chainBytes("t", "b", 3)},
				},
				unix.NFT_MSG_GETRULE: {
					{ip, ruleBytes("t", "in", 4, vmap)},
					{ip, ruleBytes("t", "a", 5, immediate(nfDrop))},
					{ip, ruleBytes("t", "b", 6, immediate(nfDrop))},
				},
				unix.NFT_MSG_GETSET: {{ip, setBytes("t", "vm", unix.NFT_SET_MAP)}},
			},
			elements: map[string][][]byte{"vm": elements},
		}
	}
	toA := verdictData(unix.NFTA_SET_ELEM_DATA, unix.NFT_JUMP, "a")
	many := elementBytes(slices.Repeat([]attr{toA}, 1000)...)
	for _, test := range []struct {
		name       string
		elements   [][]byte
		reached    string
		mapCanDrop bool
	}{
		{"read", [][]byte{elementBytes(toA)}, "in a", false},
		{"read, with a drop", [][]byte{elementBytes(toA, verdictData(unix.NFTA_SET_ELEM_DATA, nfDrop))}, "in a", true},
		{"too large", slices.Repeat([][]byte{many}, maxElementsRead/1000+1), "in a b", true},
		{"with a target that has no name", [][]byte{elementBytes(verdictData(unix.NFTA_SET_ELEM_DATA, unix.NFT_GOTO))}, "in a b", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := kernel(test.elements...).snapshot(t)
			var reached []string
			for _, c := range s.Ruleset().Tables[0].Chains {
				if s.Bases(c) != nil {
					reached = append(reached, c.Name)
				}
			}
			if got := strings.Join(reached, " "); got != test.reached {
				t.Errorf("reached %q, want %q", got, test.reached)
			}
			if r, _ := s.Rule(1, 4); r.CanDrop != test.mapCanDrop {
				t.Errorf("the map's rule can drop: %v, want %v", r.CanDrop, test.mapCanDrop)
			}
		})
	}
}

func TestSetsThatCanDrop(t *testing.T) {
	limit := attr{setExpr, []attr{{unix.NFTA_EXPR_NAME, "connlimit"}}}
	count := attr{setExpr, []attr{{unix.NFTA_EXPR_NAME, "counter"}}}
	size := attr{unix.NFTA_SET_DESC, []attr{{unix.NFTA_SET_DESC_SIZE, uint32(2)}}}
	const literal = unix.NFT_SET_ANONYMOUS | unix.NFT_SET_CONSTANT
	plainElement := elementBytes(attr{unix.NFTA_SET_ELEM_KEY, []attr{{unix.NFTA_DATA_VALUE, []byte{1}}}})
	limitElement := elementBytes(attr{unix.NFTA_SET_ELEM_EXPR, []attr{{unix.NFTA_EXPR_NAME, "connlimit"}}})
	limitElements := elementBytes(attr{elemExprs, []attr{expression("counter"), expression("connlimit")}})
	for _, test := range []struct {
		name    string
		set     []byte // nil: the kernel does not list it
		element []byte
		want    bool
		reads   int // element dumps that this takes
	}{
		{"not listed", nil, nil, true, 0},
		{"declares a counter", setBytes("t", "s", 0, count), nil, false, 0},
		{"declares a connlimit", setBytes("t", "s", 0, limit), nil, true, 0},
		{"in the rule", setBytes("t", "s", literal, size), nil, false, 0},
		{"ranges in the rule", setBytes("t", "s", literal|unix.NFT_SET_INTERVAL, size), limitElement, true, 1},
		{"plain elements", setBytes("t", "s", 0), plainElement, false, 1},
		{"an element with a connlimit", setBytes("t", "s", 0), limitElement, true, 1},
		{"an element with several expressions", setBytes("t", "s", 0), limitElements, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			ip := uint8(unix.NFPROTO_IPV4)
			lookup := expression("lookup", attr{unix.NFTA_LOOKUP_SET, "s"})
			k := &fakeKernel{
				objects: map[uint16][]object{
					unix.NFT_MSG_GETTABLE: {{ip, tableBytes("t", 1)}},
					unix.NFT_MSG_GETCHAIN: {{ip, baseBytes("t", "in", 1, 1, 0, nfAccept)}},
					// The second asks again: the elements are read once.
					unix.NFT_MSG_GETRULE: {{ip, ruleBytes("t", "in", 2, lookup)}, {ip, ruleBytes("t", "in", 3, lookup)}},
				},
				elements: map[string][][]byte{"s": {test.element}},
			}
			if test.set != nil {
				k.objects[unix.NFT_MSG_GETSET] = []object{{ip, test.set}}
			}
			s := k.snapshot(t)
			for _, r := range s.Ruleset().Tables[0].Chains[0].Rules {
				if r.CanDrop != test.want {
					t.Errorf("rule %d can drop: %v, want %v", r.Handle, r.CanDrop, test.want)
				}
			}
			if got := k.requests[unix.NFT_MSG_GETSETELEM]; got != test.reads {
				t.Errorf("%d element dumps, want %d", got, test.reads)
			}
		})
	}
}
