package statement

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// natRegisters are what a nat, masq or redir expression is given.
type natRegisters struct {
	addressMin, addressMax, portMin, portMax uint32
	flags                                    uint32
}

const natNetmap = 1 << 6 // NF_NAT_RANGE_NETMAP

// nat gives a new connection its translation.
func (d *Decoder) nat(expression string, data []byte, outer *nlattr.Attrs) {
	s := &ruleset.NAT{Kind: ruleset.SNAT, Known: true}
	var r natRegisters
	a := nlattr.Walk(data)
	for a.Next() {
		switch expression {
		case "masq":
			s.Kind = ruleset.Masquerade
			switch a.Type {
			case unix.NFTA_MASQ_REG_PROTO_MIN:
				r.portMin = a.Uint32()
			case unix.NFTA_MASQ_REG_PROTO_MAX:
				r.portMax = a.Uint32()
			}
		case "redir":
			switch a.Type {
			case unix.NFTA_REDIR_REG_PROTO_MIN:
				r.portMin = a.Uint32()
			case unix.NFTA_REDIR_REG_PROTO_MAX:
				r.portMax = a.Uint32()
			}
		default:
			switch a.Type {
			case unix.NFTA_NAT_TYPE:
				if a.Uint32() == unix.NFT_NAT_DNAT {
					s.Kind = ruleset.DNAT
				}
			case unix.NFTA_NAT_REG_ADDR_MIN:
				r.addressMin = a.Uint32()
			case unix.NFTA_NAT_REG_ADDR_MAX:
				r.addressMax = a.Uint32()
			case unix.NFTA_NAT_REG_PROTO_MIN:
				r.portMin = a.Uint32()
			case unix.NFTA_NAT_REG_PROTO_MAX:
				r.portMax = a.Uint32()
			case unix.NFTA_NAT_FLAGS:
				r.flags = a.Uint32()
			}
		}
	}
	outer.Bad = outer.Bad || a.Bad
	switch expression {
	case "masq":
		s.Kind = ruleset.Masquerade
	case "redir":
		s.Kind = ruleset.Redirect
	}
	d.natTarget(s, r)
	d.settle()
	s.Text = natText(s, d.registers.get(r.addressMin))
	if r.flags&natNetmap != 0 {
		s.Kind = ruleset.NetMap
	}
	d.add(s)
}

// natTarget reads the addresses and ports out of the registers.
func (d *Decoder) natTarget(s *ruleset.NAT, r natRegisters) {
	if r.addressMin != 0 {
		s.From = d.address4or6(r.addressMin)
		s.To = s.From
		if r.addressMax != 0 && r.addressMax != r.addressMin {
			s.To = d.address4or6(r.addressMax)
		}
		s.Known = s.From.IsValid() && s.To.IsValid()
	}
	if r.portMin != 0 {
		from, ok := d.port(r.portMin)
		to, ok2 := from, ok
		if r.portMax != 0 && r.portMax != r.portMin {
			to, ok2 = d.port(r.portMax)
		}
		s.FromPort, s.ToPort = from, to
		s.Known = s.Known && ok && ok2
	}
	if !s.Known {
		s.From, s.To, s.FromPort, s.ToPort = netip.Addr{}, netip.Addr{}, 0, 0
	}
}

func (d *Decoder) address4or6(register uint32) netip.Addr {
	v := d.registers.get(register)
	if v == nil || v.constant == nil {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(v.constant)
	return addr
}

func (d *Decoder) port(register uint32) (uint16, bool) {
	v := d.registers.get(register)
	if v == nil || len(v.constant) != 2 && len(v.constant) != 4 {
		return 0, false
	}
	return uint16(v.constant[0])<<8 | uint16(v.constant[1]), true
}
