package scratch

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// copyTries bounds the attempts at rules that change meanwhile.
const copyTries = 5

// readUnchanged reads tables of nf_tables, those of iptables-nft among them, of one
// generation.
func readUnchanged(ctx context.Context, from Source, tables []*ruleset.Table) (*nftRules, error) {
	for range copyTries {
		before, err := nftables.Generation(ctx, from)
		if err != nil {
			return nil, err
		}
		r, err := readNFT(ctx, from, tables)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return nil, err
		}
		after, e := nftables.Generation(ctx, from)
		if e != nil {
			return nil, e
		}
		if err == nil && after == before {
			return r, nil
		}
	}
	return nil, ErrChanging
}

// tableKey is a table among those of all families.
type tableKey struct {
	family uint8
	name   string
}

// setKey is a set of a table.
type setKey struct {
	table tableKey
	name  string
}

// nftMessage is one object as the kernel lists it, in the attributes that make one.
type nftMessage struct {
	typ    int // NFT_MSG_NEW…
	family uint8
	attrs  []byte
}

// nftRules are the objects of some tables.
type nftRules struct {
	tables  map[tableKey]bool
	objects []nftMessage // tables, chains, objects, flowtables
	named   []*nftSet
	// anonymous sets go with the rule that has them: alone the kernel takes none.
	anonymous map[setKey]*nftSet
	rules     []nftRule

	extensions, devices []string
}

type nftSet struct {
	message  nftMessage
	elements [][]byte // each the attributes of one element
}

type nftRule struct {
	message nftMessage
	sets    []setKey // those it may look into
	chain   chainKey
	handle  uint64 // the original's
}

// readNFT lists the objects of the tables.
func readNFT(ctx context.Context, from Source, tables []*ruleset.Table) (*nftRules, error) {
	r := &nftRules{tables: make(map[tableKey]bool), anonymous: make(map[setKey]*nftSet)}
	for _, t := range tables {
		r.tables[tableKey{familyNumber(t.Family), t.Name}] = true
	}
	c, stop, err := dialNetfilter(ctx, from)
	if err != nil {
		return nil, err
	}
	defer stop()
	for _, kind := range []struct {
		get int
		add func(family uint8, attrs []byte) error
	}{
		{unix.NFT_MSG_GETTABLE, r.addTable},
		{unix.NFT_MSG_GETCHAIN, r.addChain},
		{unix.NFT_MSG_GETOBJ, r.addObject},
		{unix.NFT_MSG_GETFLOWTABLE, r.addFlowtable},
		{unix.NFT_MSG_GETSET, func(family uint8, attrs []byte) error { return r.addSet(ctx, c, family, attrs) }},
		{unix.NFT_MSG_GETRULE, r.addRule},
	} {
		if err := dumpNFT(ctx, c, kind.get, 0, nil, kind.add); err != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
	}
	return r, nil
}

// dumpNFT lists all objects of a kind.
func dumpNFT(ctx context.Context, c *netlink.Conn, typ int, family uint8, attrs []byte, add func(uint8, []byte) error) error {
	list, err := dump(ctx, c, netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | typ),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append(header(family, 0), attrs...),
	})
	if err != nil {
		return fmt.Errorf("list objects of kind %d: %w", typ, err)
	}
	for _, m := range list {
		switch {
		case m.Header.Flags&unix.NLM_F_DUMP_INTR != 0:
			return unix.EINTR
		case len(m.Data) < headerSize:
			return errMalformed
		}
		if err := add(m.Data[0], m.Data[headerSize:]); err != nil {
			return err
		}
	}
	return nil
}

// wanted reports whether an object whose attributes begin with its table's name, as
// all do, is one to copy.
func (r *nftRules) wanted(family uint8, attrs []byte) bool {
	const tableName = 1 // NFTA_…_TABLE, and NFTA_TABLE_NAME
	name := find(attrs, tableName)
	return name != nil && r.tables[tableKey{family, name.text()}]
}

// add keeps the attributes of these types; more are those that are written anew.
func (r *nftRules) add(typ int, family uint8, attrs, more []byte, types ...int) {
	if r.wanted(family, attrs) {
		r.objects = append(r.objects, nftMessage{typ, family, append(only(attrs, types...), more...)})
	}
}

func (r *nftRules) addTable(family uint8, attrs []byte) error {
	const dormant = 1 // NFT_TABLE_F_DORMANT; a table with an owner ends with its socket
	var flags []byte
	if f := find(attrs, unix.NFTA_TABLE_FLAGS); f != nil && len(f.data()) == 4 && f.data()[3]&dormant != 0 {
		flags = appendUint32(nil, unix.NFTA_TABLE_FLAGS, dormant)
	}
	const userdata = 6 // NFTA_TABLE_USERDATA
	r.add(unix.NFT_MSG_NEWTABLE, family, attrs, flags, unix.NFTA_TABLE_NAME, userdata)
	return nil
}

// addChain leaves the flags out: they bind a chain to the one rule that jumps to it,
// which packets do not see, or hand it to hardware.
func (r *nftRules) addChain(family uint8, attrs []byte) error {
	if hook := find(attrs, unix.NFTA_CHAIN_HOOK); hook != nil && r.wanted(family, attrs) {
		const devices = 4 // NFTA_HOOK_DEVS
		r.addDevices(find(hook.data(), devices))
		if d := find(hook.data(), unix.NFTA_HOOK_DEV); d != nil {
			r.devices = append(r.devices, d.text())
		}
	}
	const userdata = 12 // NFTA_CHAIN_USERDATA
	r.add(unix.NFT_MSG_NEWCHAIN, family, attrs, nil, unix.NFTA_CHAIN_TABLE, unix.NFTA_CHAIN_NAME,
		unix.NFTA_CHAIN_HOOK, unix.NFTA_CHAIN_POLICY, unix.NFTA_CHAIN_TYPE, userdata)
	return nil
}

func (r *nftRules) addDevices(list attribute) {
	const name = 1 // NFTA_DEVICE_NAME
	if list == nil {
		return
	}
	for a := range attributes(list.data()) {
		if a.typ() == name {
			r.devices = append(r.devices, a.text())
		}
	}
}

func (r *nftRules) addObject(family uint8, attrs []byte) error {
	const userdata = 8 // NFTA_OBJ_USERDATA
	r.add(unix.NFT_MSG_NEWOBJ, family, attrs, nil, unix.NFTA_OBJ_TABLE, unix.NFTA_OBJ_NAME, unix.NFTA_OBJ_TYPE,
		unix.NFTA_OBJ_DATA, userdata)
	return nil
}

// addFlowtable leaves the flags out: hardware again, and counters.
func (r *nftRules) addFlowtable(family uint8, attrs []byte) error {
	const (
		table   = 1 // NFTA_FLOWTABLE_TABLE
		name    = 2 // NFTA_FLOWTABLE_NAME
		hooks   = 3 // NFTA_FLOWTABLE_HOOK
		devices = 3 // NFTA_FLOWTABLE_HOOK_DEVS
	)
	if hook := find(attrs, hooks); hook != nil && r.wanted(family, attrs) {
		r.addDevices(find(hook.data(), devices))
	}
	r.add(unix.NFT_MSG_NEWFLOWTABLE, family, attrs, nil, table, name, hooks)
	return nil
}

// addSet lists the set's elements, too.
func (r *nftRules) addSet(ctx context.Context, c *netlink.Conn, family uint8, attrs []byte) error {
	name := find(attrs, unix.NFTA_SET_NAME)
	if !r.wanted(family, attrs) || name == nil {
		return nil
	}
	const (
		expression  = 0x11 // NFTA_SET_EXPR
		expressions = 0x12 // NFTA_SET_EXPRESSIONS
		objectType  = 0x0f // NFTA_SET_OBJ_TYPE
	)
	kept := only(attrs, unix.NFTA_SET_TABLE, unix.NFTA_SET_NAME, unix.NFTA_SET_FLAGS, unix.NFTA_SET_KEY_TYPE,
		unix.NFTA_SET_KEY_LEN, unix.NFTA_SET_DATA_TYPE, unix.NFTA_SET_DATA_LEN, unix.NFTA_SET_POLICY, unix.NFTA_SET_DESC,
		unix.NFTA_SET_TIMEOUT, unix.NFTA_SET_GC_INTERVAL, unix.NFTA_SET_USERDATA, objectType, expression, expressions)
	kept = appendUint32(kept, unix.NFTA_SET_ID, uint32(len(r.named)+len(r.anonymous)+1)) // wanted, but names are what counts
	s := &nftSet{message: nftMessage{unix.NFT_MSG_NEWSET, family, kept}}
	which := only(attrs, unix.NFTA_SET_TABLE)
	which = appendAttribute(which, unix.NFTA_SET_ELEM_LIST_SET, name.data())
	if err := dumpNFT(ctx, c, unix.NFT_MSG_GETSETELEM, family, which, s.addElements); err != nil {
		return err
	}
	s.sort()
	if flags := find(attrs, unix.NFTA_SET_FLAGS); flags != nil && len(flags.data()) == 4 && flags.data()[3]&unix.NFT_SET_ANONYMOUS != 0 {
		table := tableKey{family, find(attrs, unix.NFTA_SET_TABLE).text()}
		r.anonymous[setKey{table, name.text()}] = s
		return nil
	}
	r.named = append(r.named, s)
	return nil
}

func familyNumber(name string) uint8 {
	switch name {
	case "ip":
		return unix.NFPROTO_IPV4
	case "ip6":
		return unix.NFPROTO_IPV6
	case "inet":
		return unix.NFPROTO_INET
	case "arp":
		return unix.NFPROTO_ARP
	case "bridge":
		return unix.NFPROTO_BRIDGE
	}
	return unix.NFPROTO_NETDEV
}
