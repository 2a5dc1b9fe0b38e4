package statement

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Verdicts of uapi/linux/netfilter.h; negative codes are nf_tables' own.
const (
	nfDrop   = 0
	nfAccept = 1
	nfStolen = 2
	nfQueue  = 3

	verdictMask   = 0xff   // NF_VERDICT_MASK: above it an errno or a queue number
	verdictBypass = 0x8000 // NF_VERDICT_FLAG_QUEUE_BYPASS
)

// immediate writes a constant to a register, which is how a plain verdict is
// made.
func (d *Decoder) immediate(data []byte, outer *nlattr.Attrs) {
	register := uint32(registerVerdict)
	var payload []byte
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_IMMEDIATE_DREG:
			register = a.Uint32()
		case unix.NFTA_IMMEDIATE_DATA:
			payload = a.Data
		}
	}
	outer.Bad = outer.Bad || a.Bad
	if register != registerVerdict {
		in := nlattr.Walk(payload)
		var b []byte
		for in.Next() {
			if in.Type == unix.NFTA_DATA_VALUE {
				b = in.Data[:min(len(in.Data), maxWidth)]
			}
		}
		outer.Bad = outer.Bad || in.Bad
		d.load(register, value{width: len(b), constant: append([]byte{}, b...), unknown: "constant"})
		return
	}
	d.settle()
	v, err := verdictOf(payload, d.table)
	outer.Bad = outer.Bad || err != nil
	if v == nil {
		d.add(&ruleset.Opaque{Kind: "verdict", MayFail: true, MayDrop: true, MayAccept: true, Text: "verdict"})
		return
	}
	d.add(v)
}

// verdictOf reads a struct nft_data that holds a verdict. It is nil where it is
// none that is known.
func verdictOf(data []byte, table Table) (*ruleset.Verdict, error) {
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
	if a.Err() != nil || !found {
		return nil, a.Err()
	}
	return verdict(int32(code), chain, table), nil
}

func verdict(code int32, chain []byte, table Table) *ruleset.Verdict {
	switch code {
	case unix.NFT_CONTINUE:
		return &ruleset.Verdict{Kind: ruleset.Continue, Text: "continue"}
	case unix.NFT_RETURN:
		return &ruleset.Verdict{Kind: ruleset.Return, Text: "return"}
	case unix.NFT_JUMP, unix.NFT_GOTO:
		v := &ruleset.Verdict{Kind: ruleset.Jump, Text: "jump " + string(chain), Target: table.Chain(chain)}
		if code == unix.NFT_GOTO {
			v.Kind, v.Text = ruleset.Goto, "goto "+string(chain)
		}
		if v.Target == nil {
			return nil
		}
		return v
	}
	switch {
	case code < 0:
		return nil
	case code&verdictMask == nfDrop:
		return &ruleset.Verdict{Kind: ruleset.Drop, Text: "drop"}
	case code&verdictMask == nfAccept:
		return &ruleset.Verdict{Kind: ruleset.Accept, Text: "accept"}
	case code&verdictMask == nfStolen:
		return &ruleset.Verdict{Kind: ruleset.Stolen, Text: "stolen"}
	case code&verdictMask == nfQueue:
		return &ruleset.Verdict{
			Kind: ruleset.Queue, Bypass: code&verdictBypass != 0,
			Text: "queue to " + strconv.Itoa(int(uint32(code)>>16)),
		}
	}
	return nil
}

// reject answers and drops.
func (d *Decoder) reject(data []byte, outer *nlattr.Attrs) {
	var typ uint32
	var code uint8
	a := nlattr.Walk(data)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_REJECT_TYPE:
			typ = a.Uint32()
		case unix.NFTA_REJECT_ICMP_CODE:
			if len(a.Data) == 1 {
				code = a.Data[0]
			}
		}
	}
	outer.Bad = outer.Bad || a.Bad
	d.settle()
	switch typ {
	case unix.NFT_REJECT_TCP_RST:
		implied(d.context.transportBy)
	case unix.NFT_REJECT_ICMP_UNREACH:
		implied(d.context.networkBy)
	}
	d.add(&ruleset.Verdict{Kind: ruleset.Reject, Text: rejectText(d.context.network, typ, code)})
}

// queue hands the packet to a program.
func (d *Decoder) queue(data []byte, outer *nlattr.Attrs) {
	const (
		bypass = 1 // NFT_QUEUE_FLAG_BYPASS
		byHash = 4 // NFTA_QUEUE_SREG_QNUM
	)
	v := &ruleset.Verdict{Kind: ruleset.Queue}
	var number, total uint16
	register := uint32(0)
	a := nlattr.Walk(data)
	for a.Next() {
		switch {
		case a.Type == unix.NFTA_QUEUE_NUM && len(a.Data) == 2:
			number = uint16(a.Data[0])<<8 | uint16(a.Data[1])
		case a.Type == unix.NFTA_QUEUE_TOTAL && len(a.Data) == 2:
			total = uint16(a.Data[0])<<8 | uint16(a.Data[1])
		case a.Type == unix.NFTA_QUEUE_FLAGS && len(a.Data) == 2:
			v.Bypass = a.Data[1]&bypass != 0
		case a.Type == byHash:
			register = a.Uint32()
		}
	}
	outer.Bad = outer.Bad || a.Bad
	d.settle()
	v.Text = "queue"
	if v.Bypass {
		v.Text += " flags bypass"
	}
	switch {
	case register != 0:
	case total > 1:
		v.Text += " to " + strconv.Itoa(int(number)) + "-" + strconv.Itoa(int(number)+int(total)-1)
	default:
		v.Text += " to " + strconv.Itoa(int(number))
	}
	d.add(v)
}
