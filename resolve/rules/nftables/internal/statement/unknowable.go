package statement

import (
	"strconv"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// unknowable loads what neither the packet nor the ruleset tells.
func (d *Decoder) unknowable(name string, data []byte, outer *nlattr.Attrs) {
	// All of them call their destination register attribute 1 but socket,
	// xfrm, rt and tunnel, who have it at 1 or 2.
	v := value{width: 4, unknown: name, understood: true, text: name}
	var to, key, modulus uint32
	a := nlattr.Walk(data)
	for a.Next() {
		switch {
		case name == "numgen" && a.Type == 2, name == "hash" && a.Type == 4: // NFTA_NG_MODULUS, NFTA_HASH_MODULUS
			modulus = a.Uint32()
		case a.Type == unknownRegister(name):
			to = a.Uint32()
		case a.Type == unknownKey(name) && len(a.Data) == 4:
			key = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	v.name(name, key)
	if modulus != 0 {
		v.text += " mod " + strconv.FormatUint(uint64(modulus), 10)
	}
	d.load(to, v)
}

// unknownRegister is the attribute that holds the destination register.
func unknownRegister(name string) uint16 {
	switch name {
	case "socket", "tunnel", "hash":
		return 2 // NFTA_SOCKET_DREG, NFTA_TUNNEL_DREG, NFTA_HASH_DREG
	}
	return 1 // NFTA_RT_DREG, NFTA_OSF_DREG, NFTA_XFRM_DREG, NFTA_NG_DREG
}

// unknownKey is the attribute that says what is asked for.
func unknownKey(name string) uint16 {
	switch name {
	case "socket", "tunnel":
		return 1
	case "hash":
		return 7 // NFTA_HASH_TYPE
	case "numgen":
		return 3 // NFTA_NG_TYPE
	}
	return 2 // NFTA_RT_KEY, NFTA_XFRM_KEY
}

// name gives the value's size and names as nft has them.
func (v *value) name(expression string, key uint32) {
	switch expression {
	case "numgen":
		v.unknown, v.text, v.swapped = "random", "numgen random", littleEndian()
		if key == 0 {
			v.unknown, v.text = "numgen", "numgen inc" // in turn
		}
	case "hash":
		v.text, v.swapped = [...]string{"jhash", "symhash"}[min(key, 1)], littleEndian()
	case "socket":
		// transparent, mark, wildcard, cgroupv2
		v.width = [...]int{1, 4, 1, 8}[min(key, 3)]
	case "osf":
		v.width = 16
	case "rt":
		v.unknown = "route"
		v.width = [...]int{4, 4, 16, 2, 1}[min(key, 4)]
	case "xfrm":
		v.unknown = "ipsec"
		v.width = [...]int{4, 4, 16, 4, 16, 4, 4}[min(key, 6)]
	case "tunnel":
		v.width = [...]int{1, 4}[min(key, 1)]
	}
}
