package expression

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/bpf"
)

// randomProgram is any program that a kernel would take: jumps go forward, and
// the last instruction returns. Loads look near the beginning, sums are small.
func randomProgram(r *rand.Rand) []bpf.Instruction {
	n := 2 + r.IntN(24)
	insns := make([]bpf.Instruction, n)
	for i := range insns {
		room := uint8(max(n-i-2, 0))
		skip := func() uint8 { return uint8(r.IntN(int(room) + 1)) }
		value := []uint32{0, 1, 2, 4, 14, 15, 60, 0xf0, 0xff, 0x1fff, uint32(r.IntN(200)), r.Uint32()}[r.IntN(12)]
		reg := bpf.Register(r.IntN(2))
		size := []int{1, 2, 4}[r.IntN(3)]
		ops := []bpf.ALUOp{bpf.ALUOpAdd, bpf.ALUOpSub, bpf.ALUOpMul, bpf.ALUOpDiv, bpf.ALUOpOr, bpf.ALUOpAnd, bpf.ALUOpShiftLeft, bpf.ALUOpShiftRight, bpf.ALUOpMod, bpf.ALUOpXor}
		op := ops[r.IntN(len(ops))]
		conds := []bpf.JumpTest{bpf.JumpEqual, bpf.JumpNotEqual, bpf.JumpGreaterThan, bpf.JumpLessThan, bpf.JumpGreaterOrEqual, bpf.JumpLessOrEqual, bpf.JumpBitsSet, bpf.JumpBitsNotSet}
		cond := conds[r.IntN(len(conds))]
		switch r.IntN(16) {
		case 0:
			insns[i] = bpf.LoadConstant{Dst: reg, Val: value}
		case 1:
			insns[i] = bpf.LoadScratch{Dst: reg, N: r.IntN(4)}
		case 2, 3:
			insns[i] = bpf.LoadAbsolute{Off: uint32(r.IntN(100)), Size: size}
		case 4, 5, 6:
			insns[i] = bpf.LoadIndirect{Off: uint32(r.IntN(40)), Size: size}
		case 7:
			insns[i] = bpf.LoadMemShift{Off: uint32(r.IntN(60))}
		case 8:
			insns[i] = bpf.StoreScratch{Src: reg, N: r.IntN(4)}
		case 9:
			insns[i] = bpf.TAX{}
		case 10:
			insns[i] = bpf.TXA{}
		case 11:
			if op == bpf.ALUOpDiv || op == bpf.ALUOpMod {
				value |= 1
			}
			if op == bpf.ALUOpShiftLeft || op == bpf.ALUOpShiftRight {
				value &= 31
			}
			insns[i] = bpf.ALUOpConstant{Op: op, Val: value}
		case 12:
			insns[i] = bpf.ALUOpX{Op: op}
		case 13:
			insns[i] = bpf.JumpIf{Cond: cond, Val: value, SkipTrue: skip(), SkipFalse: skip()}
		case 14:
			insns[i] = bpf.JumpIfX{Cond: cond, SkipTrue: skip(), SkipFalse: skip()}
		default:
			insns[i] = bpf.Jump{Skip: uint32(skip())}
		}
	}
	insns[n-1] = bpf.RetA{}
	return insns
}

// What survey says bounds what a program looks at, whatever the program: bytes
// behind it change nothing.
func TestNoProgramLooksDeeperThanItsSurvey(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 0))
	shallow, matched := 0, 0
	for range 20000 {
		insns := randomProgram(r)
		vm, err := bpf.NewVM(insns)
		if err != nil {
			t.Fatalf("%v: %v", err, insns)
		}
		depth := survey(insns).depth
		if depth < 200 {
			shallow++
		}
		for range 10 {
			frame := make([]byte, r.IntN(400))
			for i := range frame {
				frame[i] = byte(r.Uint32())
			}
			whole, err := vm.Run(frame)
			if err != nil {
				t.Fatal(err)
			}
			cut, err := vm.Run(frame[:min(len(frame), depth)])
			if err != nil {
				t.Fatal(err)
			}
			if whole != cut {
				t.Fatalf("%d with %d bytes, %d with the %d of its depth\n%v", whole, len(frame), cut, depth, insns)
			}
			if whole != 0 {
				matched++
			}
		}
	}
	t.Logf("%d of 20000 programs look at less than 200 bytes, %d of 200000 runs match", shallow, matched)
	if shallow < 4000 || matched < 20000 {
		t.Errorf("%d programs look near, %d runs match: the test decides too little", shallow, matched)
	}
}

// tcpdump's output is text of another program: it is read without trust.
func FuzzParse(f *testing.F) {
	f.Add("1\n6 0 0 262144\n")
	f.Add("4\n128 0 0 0\n37 0 1 100\n6 0 0 0\n6 0 0 262144\n")
	f.Add("3\n48 0 0 4294967295\n5 0 0 4294967295\n6 0 0 1")
	f.Add("2\n135 0 0 0\n22 0 0 0\n")
	frame := make([]byte, 100)
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := parse(text)
		if err != nil {
			return
		}
		p, err := newProgram("fuzz", raw)
		if err != nil {
			return
		}
		if p.Depth() < 0 || p.Depth() > MaxDepth {
			t.Errorf("depth %d", p.Depth())
		}
		if _, err := p.Frame(frame, 200); err != nil {
			t.Errorf("a program that was taken does not run: %v", err)
		}
		_, _ = p.body()
	})
}

func TestParseRefusesWhatTcpdumpWouldNotPrint(t *testing.T) {
	for _, text := range []string{"", "x", "0", "1", "2\n6 0 0 1", "1\n6 0 0", "1\n6 0 256 1", "1\n65536 0 0 1", "1\n6 0 0 4294967296", "1\n6 0 0 1\n6 0 0 1", "-1\n6 0 0 1"} {
		if raw, err := parse(text); err == nil {
			t.Errorf("%q: %v", text, raw)
		}
	}
}

func TestComplaintsAreLibpcapsWords(t *testing.T) {
	for stderr, want := range map[string]string{
		"reading from file -, link-type EN10MB (Ethernet)\ntcpdump: can't parse filter expression: syntax error\n": "syntax error",
		"tcpdump: expression rejects all packets\n":                                                                "expression rejects all packets",
		"tcpdump: Warning: something\ntcpdump: syntax error in filter expression: syntax error\n":                  "Warning: something; syntax error in filter expression: syntax error",
		"sh: tcpdump: broken\n": "sh: tcpdump: broken",
	} {
		if got := complaint(stderr); got != want {
			t.Errorf("%q: %q, want %q", stderr, got, want)
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	p, err := Compile(context.Background(), RunTcpdump, "tcp port 80 and host 10.0.0.1")
	if errors.Is(err, ErrNoTcpdump) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	frame := make([]byte, 74)
	copy(frame[12:], []byte{8, 0, 0x45})
	frame[23] = 6
	binary.BigEndian.PutUint16(frame[36:], 81)
	for b.Loop() {
		if _, err := p.Frame(frame, len(frame)); err != nil {
			b.Fatal(err)
		}
	}
}
