package nftables

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What reading elements may cost. It is spent on verdict maps first, because
// they hold jump targets, then on sets. What is left unread counts as able to
// drop and to lead anywhere: a machine can have 100,000 rules with a set each.
const (
	// maxSetCost is in steps of about 1 µs. A request takes 10 of them, and
	// more the more sets the table has: nft_set_lookup goes from one to the
	// next, about 60 in a step.
	maxSetCost      = 50_000
	requestCost     = 10
	setsPerStep     = 60
	maxElementsRead = 64 << 10
)

// set is a set or map that a rule refers to, with what its elements can do.
type set struct {
	table *tableNode
	name  string

	listed   bool // the kernel has it
	verdicts bool // some rule uses it as a verdict map
	plain    bool // its elements cannot have expressions that drop
	read     bool // its elements were read
	objects  bool // its objects cannot drop

	// What the elements come to, or the rules that add them.
	canDrop, queues bool
	targets         []string
	anyTarget       bool
}

// set is the table's set of that name, which may not be known yet.
func (t *tableNode) set(name []byte) *set {
	s, ok := t.sets[string(name)]
	if !ok {
		s = &set{table: t, name: string(name)}
		t.sets[s.name] = s
	}
	return s
}

func (b *builder) addSet(family uint8, attrs []byte) error {
	m, err := decodeSet(attrs)
	if err != nil {
		return err
	}
	t, ok := b.byName[tableKey{family, string(m.table)}]
	if !ok {
		return errInterrupted
	}
	t.setCount++
	s, ok := t.sets[string(m.name)]
	if !ok {
		return nil // no rule's verdict depends on it
	}
	s.listed = true
	s.canDrop = s.canDrop || m.drops
	s.objects = objectPasses(m.objectType)

	// Declared expressions are the only ones that elements may have
	// (nft_add_set_elem). Undeclared, an element may have a connlimit where
	// the set's backend can collect garbage: not a bitmap or hash of fixed
	// size, which is what nft makes of { 22, 80 } in a rule.
	const fixed = unix.NFT_SET_ANONYMOUS | unix.NFT_SET_CONSTANT
	isFixed := m.flags&fixed == fixed && m.flags&unix.NFT_SET_INTERVAL == 0 && m.size > 0
	s.plain = m.declares || isFixed
	return nil
}

// readSets reads the elements that matter and settles the rules that use them.
func (b *builder) readSets(ctx context.Context) error {
	if len(b.asked) == 0 {
		return nil
	}
	if err := b.src.dump(ctx, request{typ: unix.NFT_MSG_GETSET}, b.addSet); err != nil {
		return fmt.Errorf("list sets: %w", err)
	}
	left := allowance{cost: maxSetCost, elements: maxElementsRead}
	for _, verdicts := range []bool{true, false} {
		for _, u := range b.asked {
			s := u.set
			if s.verdicts != verdicts || s.read || !s.listed || !verdicts && (s.plain || s.canDrop || u.rule.CanDrop) {
				continue
			}
			if u.kind == refObject {
				continue
			}
			if err := b.readElements(ctx, s, &left); err != nil {
				return fmt.Errorf("list elements of set %s %q %q: %w", s.table.Family, s.table.Name, s.name, err)
			}
		}
	}
	for _, u := range b.asked {
		u.settle()
	}
	return nil
}

type allowance struct{ cost, elements int }

// errBudget ends a dump that is longer than it is worth.
var errBudget = errors.New("set is too large to read")

func (b *builder) readElements(ctx context.Context, s *set, left *allowance) error {
	if left.cost <= 0 || left.elements <= 0 {
		return nil
	}
	left.cost -= requestCost + s.table.setCount/setsPerStep

	var o outcome
	req := request{typ: unix.NFT_MSG_GETSETELEM, family: s.table.family, attrs: []netlink.Attribute{
		{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: append([]byte(s.table.Name), 0)},
		{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: append([]byte(s.name), 0)},
	}}
	err := b.src.dump(ctx, req, func(_ uint8, attrs []byte) error {
		o.targets = o.targets[:0]
		n, err := decodeElements(attrs, &o)
		if err != nil {
			return err
		}
		if err := b.memory.Take(64 * len(o.targets)); err != nil {
			return err
		}
		for _, t := range o.targets {
			s.targets = append(s.targets, string(t))
		}
		if left.elements -= n; left.elements < 0 {
			return errBudget
		}
		return nil
	})
	switch {
	case errors.Is(err, errBudget):
		return nil
	case errors.Is(err, unix.ENOENT):
		return errInterrupted
	case err != nil:
		return err
	}
	s.read = true
	s.canDrop = s.canDrop || o.canDrop
	s.queues, s.anyTarget = o.queues, o.anyTarget
	return nil
}

// settle gives the rule what its set can do. What is not known can drop.
func (u setUse) settle() {
	r, s := u.rule, u.set
	switch u.kind {
	case refVerdict:
		r.CanDrop = r.CanDrop || s.canDrop || !s.read
		r.Queues = r.Queues || s.queues
	case refObject:
		r.CanDrop = r.CanDrop || !s.listed || !s.objects
	default:
		known := s.listed && (s.plain || s.read)
		r.CanDrop = r.CanDrop || s.canDrop || !known
	}
}
