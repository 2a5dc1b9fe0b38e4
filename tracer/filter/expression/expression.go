// Package expression has tcpdump compile a pcap-filter expression, and runs it:
// in the kernel side, or on an event.
//
// An expression is about an Ethernet frame, as on a capture from a network card.
// A packet that no longer or not yet has its Ethernet header gets one with its
// EtherType and no hardware addresses; a VLAN tag that lies beside the packet
// stands in its place where the expression asks for tags, and nowhere else, as
// tcpdump has it on a live interface.
package expression

import (
	"errors"
	"fmt"

	"golang.org/x/net/bpf"
)

// MaxDepth bounds how far into a frame an expression may look.
const MaxDepth = 0xffff

var (
	// ErrNoTcpdump says that nobody is there to compile an expression.
	ErrNoTcpdump = errors.New("tcpdump is not installed")
	// ErrUnsupported is for programs that tcpdump compiles and no kernel takes.
	ErrUnsupported = errors.New("not supported")
)

// SyntaxError is an expression that libpcap refuses, in libpcap's words.
type SyntaxError struct {
	Expression, Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("expression %q: %s", e.Expression, e.Message)
}

// Program is a compiled expression. It is not safe for concurrent use.
type Program struct {
	text  string
	insns []bpf.Instruction
	looks looks

	vm    *bpf.VM // nil where the program asks for the length
	frame []byte
}

// looks is what a program may look at.
type looks struct {
	depth     int  // bytes of the frame
	addresses bool // the hardware addresses
	tags      bool // EtherTypes of VLAN tags
	length    bool // the frame's length
}

// newProgram takes the instructions that tcpdump printed.
func newProgram(text string, raw []bpf.RawInstruction) (*Program, error) {
	insns, err := disassemble(raw)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", text, err)
	}
	p := &Program{text: text, insns: insns, looks: survey(insns)}
	vm, err := newVM(insns, 0)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", text, err)
	}
	if !p.looks.length {
		p.vm = vm
	}
	return p, nil
}

func disassemble(raw []bpf.RawInstruction) ([]bpf.Instruction, error) {
	const jump, backward = 0x05, 1 << 31
	for _, r := range raw {
		if r.Op == jump && r.K >= backward {
			return nil, fmt.Errorf("%w: protochain is a loop", ErrUnsupported)
		}
	}
	insns, ok := bpf.Disassemble(raw)
	for _, i := range insns {
		if e, is := i.(bpf.LoadExtension); is && e.Num != bpf.ExtLen {
			return nil, fmt.Errorf("%w: it looks before the beginning of the packet", ErrUnsupported)
		}
	}
	if !ok {
		return nil, fmt.Errorf("%w: instructions of an unknown kind", ErrUnsupported)
	}
	return insns, nil
}

// String returns the expression as it was written.
func (p *Program) String() string { return p.text }

// Depth is how many bytes of an Ethernet frame the expression may look at.
func (p *Program) Depth() int { return p.looks.depth }

// Addresses reports whether the expression looks at hardware addresses, which
// packets that the host sends itself do not have yet in netfilter.
func (p *Program) Addresses() bool { return p.looks.addresses }

// Tags reports whether the expression asks for VLAN tags.
func (p *Program) Tags() bool { return p.looks.tags }
