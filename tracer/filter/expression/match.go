package expression

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/bpf"

	"github.com/droptrace/droptrace/tracer/event"
)

const (
	ethernetLength = addressesLength + 2
	tagLength      = 4
	// With two tags. What is longer was left behind by a tunnel.
	ethernetLongest = ethernetLength + 2*tagLength

	// Devices whose packets have an Ethernet header: ARPHRD_* of linux/if_arp.h.
	arphrdEther    = 1
	arphrdLoopback = 772
)

// Verdict is what an expression says of a packet.
type Verdict int

const (
	No Verdict = iota
	Yes
	// Undecided is for a packet of which the event holds less than the
	// expression looks at.
	Undecided
)

// Event runs the program on what an event holds of a packet.
func (p *Program) Event(e *event.Event) (Verdict, error) {
	length := p.build(e)
	verdict, err := p.Frame(p.frame, length)
	if verdict == No && p.Addresses() && hasEthernet(&e.Bytes) && len(e.Data) < addressesLength {
		return Undecided, err // it had some
	}
	return verdict, err
}

// Frame runs the program on the first bytes of a frame of length bytes.
func (p *Program) Frame(frame []byte, length int) (Verdict, error) {
	vm := p.vm
	if vm == nil {
		var err error
		if vm, err = newVM(p.insns, length); err != nil {
			return Undecided, fmt.Errorf("expression %q: %w", p.text, err)
		}
	}
	n, err := vm.Run(frame)
	switch {
	case err != nil:
		return Undecided, fmt.Errorf("expression %q: %w", p.text, err)
	case n != 0:
		return Yes, nil
	case len(frame) < min(length, p.Depth()):
		return Undecided, nil
	}
	return No, nil
}

// newVM makes a VM that takes length for the packet's: x/net/bpf knows only that
// of the bytes it is given. Nor does it know how to negate.
func newVM(program []bpf.Instruction, length int) (*bpf.VM, error) {
	insns := make([]bpf.Instruction, len(program))
	for i, insn := range program {
		switch insn.(type) {
		case bpf.LoadExtension:
			insn = bpf.LoadConstant{Dst: bpf.RegA, Val: uint32(length)}
		case bpf.NegateA:
			insn = bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 1<<32 - 1}
		}
		insns[i] = insn
	}
	vm, err := bpf.NewVM(insns)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return vm, nil
}

// build makes p.frame of an event, as bpf/filter_expression_packet.h makes one of an
// skb, and returns how long the whole frame would be.
func (p *Program) build(e *event.Event) (length int) {
	b := &e.Bytes
	link := int(b.LinkLength)
	addresses, ethertype, rest := make([]byte, addressesLength), e.Protocol, e.Packet()
	length = int(b.Original) - link + ethernetLength
	if len(e.Data) >= link && len(e.Data)-link > len(rest) {
		rest = e.Data[link:]
	}
	p.frame = p.frame[:0]
	if hasEthernet(b) && len(e.Data) >= link {
		addresses, rest = e.Data[:addressesLength], e.Data[addressesLength:]
		length = int(b.Original)
	} else {
		rest = append(binary.BigEndian.AppendUint16(nil, ethertype), rest...)
	}
	p.frame = append(p.frame, addresses...)
	if p.Tags() && e.Flags&event.VLAN != 0 {
		p.frame = binary.BigEndian.AppendUint16(p.frame, b.VLANProto)
		p.frame = binary.BigEndian.AppendUint16(p.frame, e.VLANTCI)
		length += tagLength
	}
	p.frame = append(p.frame, rest...)
	return length
}

// hasEthernet is has_ethernet of bpf/filter_expression_packet.h.
func hasEthernet(b *event.PacketBytes) bool {
	if b.DeviceType == event.NoDevice {
		return b.LinkLength == ethernetLength
	}
	return b.LinkLength >= ethernetLength && b.LinkLength <= ethernetLongest &&
		(b.DeviceType == arphrdEther || b.DeviceType == arphrdLoopback)
}
