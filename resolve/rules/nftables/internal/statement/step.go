package statement

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// step adds an expression that does something beside comparing. One that is not
// known may do anything.
func (d *Decoder) step(name string, data []byte, outer *nlattr.Attrs) {
	if name == "objref" {
		d.objref(data, outer)
		return
	}
	d.settle()
	switch name {
	case "limit":
		d.opaque("limit", limitText(data, outer), true, false)
	case "quota":
		d.opaque("quota", quotaText(data, outer), true, false)
	case "connlimit":
		// nft_connlimit_do_eval drops a packet whose connection it cannot count.
		d.opaque("connlimit", countText(data, outer), true, true)
	case "notrack":
		d.add(&ruleset.NoTrack{Text: "notrack"})
	case "tproxy":
		// Without a socket the rule ends (nft_tproxy_eval_v4).
		d.opaque("tproxy", "tproxy", true, false)
	case "synproxy":
		// Answers SYNs, drops what has no valid cookie, lets the rest go on.
		d.opaque("synproxy", "synproxy", true, true)
	case "flow_offload":
		d.opaque("flowtable", "flow add", true, false)
	case "fwd":
		d.add(&ruleset.Verdict{Kind: ruleset.Stolen, Text: "fwd"})
	case "dynset":
		d.dynset(data, outer)
	case "match", "target":
		d.compat(name, data, outer)
	case "inner":
		d.inner(data, outer)
	default:
		d.add(&ruleset.Opaque{Kind: name, MayFail: true, MayDrop: true, MayAccept: true, Text: name})
	}
}

// opaque adds a step that is understood.
func (d *Decoder) opaque(kind, text string, mayFail, mayDrop bool) {
	d.add(&ruleset.Opaque{Kind: kind, Understood: true, MayFail: mayFail, MayDrop: mayDrop, Text: text})
}

// compat is a match or target of x_tables.
func (d *Decoder) compat(expression string, data []byte, outer *nlattr.Attrs) {
	d.body.Compat = true
	var name string
	a := nlattr.Walk(data)
	for a.Next() {
		if a.Type == unix.NFTA_MATCH_NAME { // NFTA_TARGET_NAME is 1, too
			name = string(a.Text())
		}
	}
	outer.Bad = outer.Bad || a.Bad
	if expression == "match" {
		if name == "comment" {
			return
		}
		// A match may say hotdrop; it never accepts.
		d.add(&ruleset.Opaque{Kind: name, MayFail: true, MayDrop: true, Text: "-m " + name})
		return
	}
	d.add(&ruleset.Opaque{Kind: name, MayFail: true, MayDrop: true, MayAccept: true, Text: "-j " + name})
}

// inner loads from a header inside a tunnel: the expression that it holds has
// the register.
func (d *Decoder) inner(data []byte, outer *nlattr.Attrs) {
	const expression = 5 // NFTA_INNER_EXPR
	a := nlattr.Walk(data)
	for a.Next() {
		if a.Type != expression {
			continue
		}
		_, in, ok := nlattr.Expression(&a)
		if !ok {
			break
		}
		to := uint32(0)
		b := nlattr.Walk(in)
		for b.Next() {
			if b.Type == unix.NFTA_PAYLOAD_DREG { // NFTA_META_DREG is 1, too
				to = b.Uint32()
			}
		}
		outer.Bad = outer.Bad || b.Bad
		d.load(to, value{width: 4, unknown: "inner", text: "tunnelled header"})
	}
	outer.Bad = outer.Bad || a.Bad
}

// dynset adds the key to a set from the packet's path.
func (d *Decoder) dynset(data []byte, outer *nlattr.Attrs) {
	const expressions = 10 // NFTA_DYNSET_EXPRESSIONS, from 5.11
	o := &ruleset.Opaque{Kind: "set update", Understood: true, MayFail: true}
	op := uint32(0)
	add := func(a *nlattr.Attrs) {
		name, _, ok := nlattr.Expression(a)
		if !ok {
			return
		}
		switch string(name) {
		case "counter", "last":
		case "limit", "quota":
			o.Kind = string(name)
		default:
			o.Kind, o.MayDrop = string(name), true
		}
	}
	var name []byte
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_DYNSET_SET_NAME:
			name = a.Text()
		case unix.NFTA_DYNSET_OP:
			op = a.Uint32()
		case unix.NFTA_DYNSET_EXPR:
			add(&a)
		case expressions:
			a.Nested(add)
		}
	}
	outer.Bad = outer.Bad || a.Bad
	o.Text = [...]string{"add", "update", "delete"}[min(op, 2)] + " @" + string(name)
	d.add(o)
}

// objref runs a named object, or the one that a map holds for the packet.
func (d *Decoder) objref(data []byte, outer *nlattr.Attrs) {
	var (
		typ, from uint32
		name, set []byte
	)
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_OBJREF_IMM_TYPE:
			typ = a.Uint32()
		case unix.NFTA_OBJREF_IMM_NAME:
			name = a.Text()
		case unix.NFTA_OBJREF_SET_SREG:
			from = a.Uint32()
		case unix.NFTA_OBJREF_SET_NAME:
			set = a.Text()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	if set != nil {
		s := d.table.Set(set)
		if s == nil {
			d.settle()
			d.add(&ruleset.Opaque{Kind: "object", MayFail: true, MayDrop: true, Text: "@" + string(set)})
			return
		}
		// Without an element the rule ends (nft_objref_map_eval).
		d.membership(s, d.key(from, s), false)
		typ, name = s.ObjectType, []byte("map @"+s.Name)
	}
	d.settle()
	d.object(typ, string(name))
}

// object runs an object of that type: NFT_OBJECT_*.
func (d *Decoder) object(typ uint32, name string) {
	switch typ {
	case unix.NFT_OBJECT_COUNTER, unix.NFT_OBJECT_TUNNEL, unix.NFT_OBJECT_SECMARK, unix.NFT_OBJECT_CT_HELPER:
		// nft_ct_helper_obj_eval leaves alone what it cannot help.
	case unix.NFT_OBJECT_QUOTA:
		d.opaque("quota", "quota name "+name, true, false)
	case unix.NFT_OBJECT_LIMIT:
		d.opaque("limit", "limit name "+name, true, false)
	case unix.NFT_OBJECT_CT_TIMEOUT:
		d.opaque("conntrack object", "ct timeout set "+name, true, true)
	case unix.NFT_OBJECT_CT_EXPECT:
		d.opaque("conntrack object", "ct expectation set "+name, true, true)
	case unix.NFT_OBJECT_CONNLIMIT:
		d.opaque("connlimit", "ct count name "+name, true, true)
	case unix.NFT_OBJECT_SYNPROXY:
		d.opaque("synproxy", "synproxy name "+name, true, true)
	default:
		d.add(&ruleset.Opaque{Kind: "object", MayFail: true, MayDrop: true, MayAccept: true, Text: name})
	}
}
