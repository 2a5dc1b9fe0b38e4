package expression

import (
	"math"
	"math/bits"

	"golang.org/x/net/bpf"
)

const (
	addressesLength = 12 // both hardware addresses of a frame
	typeOffset      = 12
	anything        = math.MaxUint32
)

// state is the most that each register can hold before an instruction.
type state struct {
	reached   bool
	a, x      uint64
	m         [16]uint64
	ethertype bool // A holds the frame's EtherType
}

// join widens s to what o can hold too.
func (s *state) join(o state) {
	if !s.reached {
		*s = o
		return
	}
	s.a, s.x = max(s.a, o.a), max(s.x, o.x)
	for i := range s.m {
		s.m[i] = max(s.m[i], o.m[i])
	}
	s.ethertype = s.ethertype && o.ethertype
}

// survey follows the greatest value of each register through a program: with it
// the kernel side reads a hundred bytes of a packet, not all of them. Classic BPF
// jumps forward only, so that one pass does.
func survey(insns []bpf.Instruction) looks {
	var l looks
	states := make([]state, len(insns)+256) // room for any jump out of the program
	states[0].reached = true
	for i, insn := range insns {
		s := states[i]
		if !s.reached {
			continue
		}
		l.at(insn, &s)
		s.step(insn)
		for _, next := range successors(insn) {
			if to := i + 1 + next; to < len(states) {
				states[to].join(s)
			}
		}
	}
	l.depth = min(l.depth, MaxDepth)
	return l
}

// successors returns how many instructions each way on skips.
func successors(insn bpf.Instruction) []int {
	switch i := insn.(type) {
	case bpf.RetA, bpf.RetConstant:
		return nil
	case bpf.Jump:
		return []int{int(i.Skip)}
	case bpf.JumpIf:
		return []int{int(i.SkipTrue), int(i.SkipFalse)}
	case bpf.JumpIfX:
		return []int{int(i.SkipTrue), int(i.SkipFalse)}
	}
	return []int{0}
}

// at notes what an instruction looks at.
func (l *looks) at(insn bpf.Instruction, s *state) {
	switch i := insn.(type) {
	case bpf.LoadAbsolute:
		l.bytes(int64(i.Off), int64(i.Off), i.Size)
	case bpf.LoadIndirect:
		l.bytes(int64(int32(i.Off)), int64(s.x)+int64(int32(i.Off)), i.Size)
	case bpf.LoadMemShift:
		l.bytes(int64(i.Off), int64(i.Off), 1)
	case bpf.LoadExtension:
		l.length = true
	case bpf.JumpIf:
		// 802.1Q, 802.1ad, and what both were before they had a number.
		if s.ethertype && (i.Val == 0x8100 || i.Val == 0x88a8 || i.Val == 0x9100) {
			l.tags = true
		}
	}
}

// bytes notes a load from somewhere between two offsets.
func (l *looks) bytes(from, to int64, size int) {
	l.depth = int(max(int64(l.depth), min(to+int64(size), MaxDepth)))
	if from < addressesLength {
		l.addresses = true
	}
}

// step is what an instruction leaves in the registers.
func (s *state) step(insn bpf.Instruction) {
	switch insn.(type) {
	case bpf.JumpIf, bpf.JumpIfX, bpf.Jump, bpf.StoreScratch, bpf.TAX:
	default:
		s.ethertype = false
	}
	switch i := insn.(type) {
	case bpf.LoadConstant:
		*s.register(i.Dst) = uint64(i.Val)
	case bpf.LoadScratch:
		*s.register(i.Dst) = s.m[i.N&15]
	case bpf.StoreScratch:
		s.m[i.N&15] = *s.register(i.Src)
	case bpf.LoadAbsolute:
		s.a = 1<<(8*i.Size) - 1
		s.ethertype = i.Off == typeOffset && i.Size == 2
	case bpf.LoadIndirect:
		s.a = 1<<(8*i.Size) - 1
	case bpf.LoadMemShift:
		s.x = 15 * 4
	case bpf.LoadExtension, bpf.NegateA:
		s.a = anything
	case bpf.TAX:
		s.x = s.a
	case bpf.TXA:
		s.a = s.x
	case bpf.ALUOpConstant:
		s.a = most(i.Op, s.a, uint64(i.Val), true)
	case bpf.ALUOpX:
		s.a = most(i.Op, s.a, s.x, false)
	}
}

func (s *state) register(r bpf.Register) *uint64 {
	if r == bpf.RegX {
		return &s.x
	}
	return &s.a
}

// most is the greatest result of an operation on values up to a and v; exact
// says that the second is v itself.
func most(op bpf.ALUOp, a, v uint64, exact bool) uint64 {
	r := uint64(anything)
	switch op {
	case bpf.ALUOpAdd:
		r = a + v
	case bpf.ALUOpMul:
		if v == 0 || a <= anything/v {
			r = a * v
		}
	case bpf.ALUOpAnd:
		r = min(a, v)
	case bpf.ALUOpOr, bpf.ALUOpXor:
		r = 1<<bits.Len64(a|v) - 1
	case bpf.ALUOpShiftLeft:
		if v < 32 {
			r = a << v
		}
	case bpf.ALUOpShiftRight:
		if r = a; exact {
			r = a >> min(v, 63)
		}
	case bpf.ALUOpDiv:
		if r = a; exact && v > 0 {
			r = a / v
		}
	case bpf.ALUOpMod:
		r = a
		if v > 0 {
			r = min(a, v-1)
		}
	}
	// What does not fit wraps, and may then be anything. A difference may too.
	return min(r, anything)
}
