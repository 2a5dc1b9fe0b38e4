package nftables

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/statement"
)

// What reading elements of a model may cost. The steps are those of maxSetCost:
// 10,000 rules with a set each take about 2 s, and that once. What is left unread
// is not Complete.
const (
	maxModelCost     = 4_000_000
	maxModelElements = 512 << 10
)

// Within a budget no more elements of one set are held than maxHeldElements, but of a
// verdict map, since it is jumped by; others are asked. elementSize is what one takes
// that is kept and indexed, in bytes (measured).
const (
	maxHeldElements = 4096
	elementSize     = 300
)

// asker asks the kernel for elements of the set.
func (m *modeler) asker(t *modelTable, s *statement.Set) *asker {
	return &asker{
		ns: m.snapshot.texts.ns, generation: m.rules.Generation, family: t.family, table: t.Name, set: s.Name,
		timeouts: s.Flags&unix.NFT_SET_TIMEOUT != 0,
	}
}

// readElements reads the sets that rules ask, then the others.
func (m *modeler) readElements(ctx context.Context) error {
	left := allowance{cost: maxModelCost, elements: maxModelElements}
	complete := make(map[*statement.Set]bool)
	for _, used := range []bool{true, false} {
		for _, t := range m.tables {
			for _, s := range t.order {
				if s.Used() != used {
					continue
				}
				whole, err := m.readSet(ctx, t, s, &left)
				if err != nil {
					return fmt.Errorf("list elements of set %s %q %q: %w", t.Family, t.Name, s.Name, err)
				}
				complete[s] = whole
			}
		}
	}
	for _, t := range m.tables {
		for _, s := range t.order {
			t.Sets = append(t.Sets, s.Settle(complete[s]))
		}
	}
	return nil
}

// readSet reads one set and reports whether that was all of it.
func (m *modeler) readSet(ctx context.Context, t *modelTable, s *statement.Set, left *allowance) (bool, error) {
	if left.cost <= 0 || left.elements <= 0 {
		return false, nil
	}
	left.cost -= requestCost + len(t.order)/setsPerStep
	req := request{typ: unix.NFT_MSG_GETSETELEM, family: t.family, attrs: []netlink.Attribute{
		{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: append([]byte(t.Name), 0)},
		{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: append([]byte(s.Name), 0)},
	}}
	memory, held := budget.From(ctx), 0
	err := m.src.dump(ctx, req, func(_ uint8, attrs []byte) error {
		n, err := s.Add(attrs, t)
		if err != nil {
			return err
		}
		if held += n; memory != nil && held > maxHeldElements && !s.IsVerdictMap() {
			return errBudget
		}
		if left.elements -= n; left.elements < 0 {
			return errBudget
		}
		return memory.Take(n * elementSize)
	})
	switch {
	case errors.Is(err, errBudget):
		if memory != nil {
			s.Large(m.asker(t, s).ask)
		} else {
			s.Cut()
		}
		return false, nil
	case errors.Is(err, unix.ENOENT):
		return false, errInterrupted
	}
	return err == nil, err
}
