package nftables

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// Verdicts of uapi/linux/netfilter.h; negative codes are nf_tables' own.
const (
	nfDrop   = 0
	nfAccept = 1
	nfQueue  = 3

	verdictMask = 0xff // NF_VERDICT_MASK: above it an errno or a queue number
)

// registerVerdict is NFT_REG_VERDICT: writing it ends the rule.
const registerVerdict = 0

// evaluate adds what one expression can do. It is the one place that knows
// which expressions can drop; one it does not know counts as a drop.
//
// From the eval functions of Debian's 6.1.192 and 6.12 sources: every
// expression that assigns regs->verdict.code anything but NFT_BREAK (no match)
// is told apart below.
func (r *ruleMessage) evaluate(name, data []byte, a *nlattr.Attrs) {
	switch string(name) {
	case "bitwise", "byteorder", "cmp", "counter", "dup", "flow_offload", "hash", "inner",
		"last", "limit", "log", "meta", "notrack", "numgen", "osf", "payload",
		"quota", "range", "rt", "socket", "tproxy", "tunnel", "xfrm":
		// They read, write, count or say "no match".
	case "fib":
		// nft_fib_inet_eval has an NF_DROP for packets that are neither IPv4
		// nor IPv6, but nft_fib_validate keeps it off the hooks that see such.
	case "immediate":
		r.immediate(data, a)
	case "lookup":
		r.lookup(data, a)
	case "dynset":
		r.dynset(data, a)
	case "objref":
		r.objref(data, a)
	case "ct":
		r.ct(data, a)
	case "exthdr":
		r.exthdr(data, a)
	case "match":
		r.compat = true
		r.canDrop = r.canDrop || !xtMatchPasses(first(data, unix.NFTA_MATCH_NAME, a))
	case "target":
		r.compat = true
		r.target(first(data, unix.NFTA_TARGET_NAME, a))
	case "reject":
		r.canDrop, r.rejects = true, true
	case "queue":
		r.canDrop, r.queues = true, true
	default:
		// Known to drop sometimes: nat, masq and redir (no free tuple),
		// synproxy (bad checksum, bad cookie), connlimit (no tuple, no
		// memory), fwd (recursion, TTL).
		r.canDrop = true
	}
}

// first is the payload of the first attribute of that type, as text.
func first(data []byte, typ uint16, outer *nlattr.Attrs) []byte {
	a := nlattr.Walk(data)
	for a.Next() {
		if a.Type == typ {
			return a.Text()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	return nil
}

// immediate writes a constant to a register, which is how a plain verdict is
// made.
func (r *ruleMessage) immediate(data []byte, outer *nlattr.Attrs) {
	register := uint32(registerVerdict)
	var value []byte
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_IMMEDIATE_DREG:
			register = a.Uint32()
		case unix.NFTA_IMMEDIATE_DATA:
			value = a.Data
		}
	}
	outer.Bad = outer.Bad || a.Bad
	if register == registerVerdict {
		r.verdict(value, outer)
	}
}

// verdict reads a struct nft_data of an immediate or of a verdict map's
// element.
func (o *outcome) verdict(data []byte, outer *nlattr.Attrs) {
	var (
		code  uint32
		chain []byte
		found bool
	)
	a := nlattr.Walk(data)
	for a.Next() {
		if a.Type != unix.NFTA_DATA_VERDICT {
			continue
		}
		a.Nested(func(a *nlattr.Attrs) {
			switch a.Type {
			case unix.NFTA_VERDICT_CODE:
				code, found = a.Uint32(), true
			case unix.NFTA_VERDICT_CHAIN:
				chain = a.Text()
			}
		})
	}
	outer.Bad = outer.Bad || a.Bad
	if !found {
		o.canDrop = true
		return
	}
	o.apply(int32(code), chain)
}

func (o *outcome) apply(code int32, chain []byte) {
	switch {
	case code == unix.NFT_JUMP || code == unix.NFT_GOTO:
		if len(chain) == 0 {
			o.anyTarget = true
			return
		}
		o.targets = append(o.targets, chain)
	case code == unix.NFT_CONTINUE || code == unix.NFT_BREAK || code == unix.NFT_RETURN:
	case code < 0:
		o.canDrop = true
	case code&verdictMask == nfAccept:
	case code&verdictMask == nfQueue:
		o.canDrop, o.queues = true, true
	default:
		// NF_DROP; NF_STOLEN and others cannot be written by a ruleset.
		o.canDrop = true
	}
}

// target is an x_tables target that nft_compat runs.
func (r *ruleMessage) target(name []byte) {
	switch string(name) {
	case "REJECT":
		r.canDrop, r.rejects = true, true
	case "NFQUEUE", "QUEUE":
		r.canDrop, r.queues = true, true
	default:
		r.canDrop = r.canDrop || !xtTargetPasses(name)
	}
}

// ct reads or writes conntrack's view of the packet. Only setting the zone can
// drop (nft_ct_set_zone_eval, no memory for a template).
func (r *ruleMessage) ct(data []byte, outer *nlattr.Attrs) {
	var (
		key   uint32
		write bool
	)
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_CT_KEY:
			key = a.Uint32()
		case unix.NFTA_CT_SREG:
			write = true
		}
	}
	outer.Bad = outer.Bad || a.Bad
	switch key {
	case unix.NFT_CT_MARK, unix.NFT_CT_SECMARK, unix.NFT_CT_LABELS, unix.NFT_CT_EVENTMASK:
	default:
		r.canDrop = r.canDrop || write
	}
}

// exthdr reads (a destination register) or writes (a source register) a header
// option. With neither it strips a TCP option, which drops where the packet
// cannot be made writable (nft_exthdr_tcp_strip_eval, from 5.18).
func (r *ruleMessage) exthdr(data []byte, outer *nlattr.Attrs) {
	strip := true
	a := nlattr.Walk(data)
	for a.Next() {
		if a.Type == unix.NFTA_EXTHDR_DREG || a.Type == unix.NFTA_EXTHDR_SREG {
			strip = false
		}
	}
	outer.Bad = outer.Bad || a.Bad
	r.canDrop = r.canDrop || strip
}
