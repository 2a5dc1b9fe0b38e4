package nftables

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// attr is a netlink attribute to be encoded; its payload is one of uint32,
// uint64 (network byte order), string (with its NUL), []byte or []attr.
type attr struct {
	typ   uint16
	value any
}

func encode(list ...attr) []byte {
	var all []netlink.Attribute
	for _, a := range list {
		n := netlink.Attribute{Type: a.typ}
		switch v := a.value.(type) {
		case uint32:
			n.Data = binary.BigEndian.AppendUint32(nil, v)
		case uint64:
			n.Data = binary.BigEndian.AppendUint64(nil, v)
		case string:
			n.Data = append([]byte(v), 0)
		case []byte:
			n.Data = v
		case []attr:
			n.Type |= unix.NLA_F_NESTED
			n.Data = encode(v...)
		}
		all = append(all, n)
	}
	b, err := netlink.MarshalAttributes(all)
	if err != nil {
		panic(err)
	}
	return b
}

func expression(name string, data ...attr) attr {
	return attr{unix.NFTA_LIST_ELEM, []attr{{unix.NFTA_EXPR_NAME, name}, {unix.NFTA_EXPR_DATA, data}}}
}

// verdictData is a struct nft_data with a verdict, and a chain where it jumps.
func verdictData(typ uint16, code int32, chain ...string) attr {
	v := []attr{{unix.NFTA_VERDICT_CODE, uint32(code)}}
	for _, c := range chain {
		v = append(v, attr{unix.NFTA_VERDICT_CHAIN, c})
	}
	return attr{typ, []attr{{unix.NFTA_DATA_VERDICT, v}}}
}

func immediate(code int32, chain ...string) attr {
	return expression("immediate", attr{unix.NFTA_IMMEDIATE_DREG, uint32(0)}, verdictData(unix.NFTA_IMMEDIATE_DATA, code, chain...))
}

func ruleBytes(table, chain string, handle uint64, expressions ...attr) []byte {
	return encode(
		attr{unix.NFTA_RULE_TABLE, table},
		attr{unix.NFTA_RULE_CHAIN, chain},
		attr{unix.NFTA_RULE_HANDLE, handle},
		attr{unix.NFTA_RULE_EXPRESSIONS, expressions},
	)
}

func tableBytes(name string, handle uint64) []byte {
	return encode(attr{tableName, name}, attr{tableFlags, uint32(0)}, attr{tableHandle, handle})
}

func chainBytes(table, name string, handle uint64) []byte {
	return encode(attr{chainTable, table}, attr{chainName, name}, attr{chainHandle, handle})
}

func baseBytes(table, name string, handle uint64, hook uint32, priority int32, policy uint32) []byte {
	return encode(
		attr{chainTable, table}, attr{chainName, name}, attr{chainHandle, handle},
		attr{chainHook, []attr{{hookNumber, hook}, {hookPriority, uint32(priority)}}},
		attr{chainPolicy, policy}, attr{chainType, "filter"},
	)
}

func setBytes(table, name string, flags uint32, more ...attr) []byte {
	return encode(append([]attr{{unix.NFTA_SET_TABLE, table}, {unix.NFTA_SET_NAME, name}, {unix.NFTA_SET_FLAGS, flags}}, more...)...)
}

func elementBytes(elements ...attr) []byte {
	var list []attr
	for _, e := range elements {
		list = append(list, attr{unix.NFTA_LIST_ELEM, []attr{e}})
	}
	return encode(attr{unix.NFTA_SET_ELEM_LIST_ELEMENTS, list})
}

// fakeKernel answers with messages made above: no socket, no root.
type fakeKernel struct {
	generations []uint32 // one for each question; the last stays
	objects     map[uint16][]object
	elements    map[string][][]byte // by set name
	requests    map[uint16]int
	err         error // of any dump
}

type object struct {
	family uint8
	attrs  []byte
}

func (k *fakeKernel) generation(context.Context) (uint32, error) {
	gen := k.generations[0]
	if len(k.generations) > 1 {
		k.generations = k.generations[1:]
	}
	return gen, nil
}

func (k *fakeKernel) settle(context.Context, uint32) error { return nil }

func (k *fakeKernel) dump(_ context.Context, req request, fn func(uint8, []byte) error) error {
	if k.requests == nil {
		k.requests = make(map[uint16]int)
	}
	k.requests[req.typ]++
	if k.err != nil {
		return k.err
	}
	if req.typ == unix.NFT_MSG_GETSETELEM {
		for _, b := range k.elements[string(nlattr.UntilNUL(req.attrs[1].Data))] {
			if err := fn(req.family, b); err != nil {
				return err
			}
		}
		return nil
	}
	for _, o := range k.objects[req.typ] {
		if err := fn(o.family, o.attrs); err != nil {
			return err
		}
	}
	return nil
}

// snapshot reads the fake kernel as Read does the real one.
func (k *fakeKernel) snapshot(t testing.TB) *Snapshot {
	t.Helper()
	if k.generations == nil {
		k.generations = []uint32{1}
	}
	gen, tables, err := readOnce(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	return newSnapshot(nil, gen, tables)
}
