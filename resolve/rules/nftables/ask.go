package nftables

import (
	"context"
	"errors"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const (
	// askTimeout bounds one question, which takes some 50 µs.
	askTimeout = 2 * time.Second

	elementCatchAll = 2 // NFT_SET_ELEM_CATCHALL, from 5.13
)

// asker asks the kernel for elements of one set, in a ruleset of one generation.
type asker struct {
	ns         Namespace
	generation uint32
	family     uint8
	table, set string
	timeouts   bool // elements may go by themselves
}

// ask reports whether the set holds a key, as `nft get element` does: of intervals
// too. In a ruleset that has changed since it cannot tell.
func (a *asker) ask(key []byte) ruleset.Found {
	data, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_DATA_VALUE, Data: key}})
	if err != nil {
		return ruleset.MaybeThere
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	c := &conn{ns: a.ns}
	defer c.close()
	found := a.get(ctx, c, netlink.Attribute{Type: unix.NFTA_SET_ELEM_KEY | netlink.Nested, Data: data})
	if found == ruleset.NotFound {
		// Elsewise it is in the set, and what a set holds for all others says no more.
		found = a.get(ctx, c, netlink.Attribute{Type: unix.NFTA_SET_ELEM_FLAGS | netlink.NetByteOrder, Data: []byte{0, 0, 0, elementCatchAll}})
	}
	if g, err := c.generation(ctx); err != nil || g != a.generation {
		return ruleset.MaybeThere
	}
	if found == ruleset.NotFound && a.timeouts {
		return ruleset.MaybeThere // it may have been there
	}
	return found
}

// get asks for one element. A kernel that does not know what is asked for has none.
func (a *asker) get(ctx context.Context, c *conn, which netlink.Attribute) ruleset.Found {
	element, err := netlink.MarshalAttributes([]netlink.Attribute{which})
	if err != nil {
		return ruleset.MaybeThere
	}
	list, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_LIST_ELEM | netlink.Nested, Data: element}})
	if err != nil {
		return ruleset.MaybeThere
	}
	found := ruleset.MaybeThere
	err = c.execute(ctx, request{typ: unix.NFT_MSG_GETSETELEM, family: a.family, attrs: []netlink.Attribute{
		{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: append([]byte(a.table), 0)},
		{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: append([]byte(a.set), 0)},
		{Type: unix.NFTA_SET_ELEM_LIST_ELEMENTS | netlink.Nested, Data: list},
	}}, 0, func(_ uint8, attrs []byte) error {
		found = answered(attrs)
		return nil
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL) && which.Type&^netlink.NetByteOrder == unix.NFTA_SET_ELEM_FLAGS:
		return ruleset.NotFound
	case err != nil:
		return ruleset.MaybeThere
	}
	return found
}

// answered tells an element that holds from one whose own expressions have a say,
// and from the end of an interval.
func answered(b []byte) ruleset.Found {
	found := ruleset.MaybeThere
	a := nlattr.Walk(b)
	for a.Next() {
		if a.Type != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		a.Nested(func(a *nlattr.Attrs) {
			found = ruleset.IsFound
			a.Nested(func(a *nlattr.Attrs) {
				switch a.Type {
				case unix.NFTA_SET_ELEM_EXPR, elemExprs:
					found = ruleset.MaybeThere
				case unix.NFTA_SET_ELEM_FLAGS:
					if a.Uint32()&1 != 0 { // NFT_SET_ELEM_INTERVAL_END
						found = ruleset.NotFound
					}
				}
			})
		})
	}
	if a.Err() != nil {
		return ruleset.MaybeThere
	}
	return found
}
