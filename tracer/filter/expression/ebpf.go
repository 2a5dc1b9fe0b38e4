package expression

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cloudflare/cbpfc"
)

// The placeholder of bpf/filter_expression.h: int expression(start, end, length).
const (
	placeholder = "expression"
	start       = asm.R1
	end         = asm.R2
	length      = asm.R3
	result      = "expression_result"
	noMatch     = "expression_nomatch" // cbpfc's label for loads behind the end
	outside     = -1                   // EXPRESSION_OUTSIDE
)

// The registers of classic BPF, and what cbpfc needs besides.
const (
	regA, regX, scratch, indirect = asm.R4, asm.R5, asm.R6, asm.R7
)

// Names of the kernel side's variables and map.
const (
	depthVariable = "expression_depth"
	tagsVariable  = "expression_tags"
	framesMap     = "frames"

	maxBeforeData = 512 // MAX_BEFORE_DATA of bpf/packet_bytes.h
)

// Inject puts the program into a kernel side that has the placeholder: its body in all
// programs, what it looks at, and room for the bytes. slots is how many runs may
// be under way at once.
func (p *Program) Inject(coll *ebpf.CollectionSpec, slots uint32) error {
	body, err := p.body()
	if err != nil {
		return err
	}
	found := false
	for _, program := range coll.Programs {
		if insns, ok := replaceBody(program.Instructions, body); ok {
			program.Instructions, found = insns, true
		}
	}
	if !found {
		return errors.New("the kernel side has no place for an expression")
	}
	depth := max(p.Depth(), 1) // 0 means that there is none
	for name, value := range map[string]any{depthVariable: uint32(depth), tagsVariable: p.Tags()} {
		if err := coll.Variables[name].Set(value); err != nil {
			return fmt.Errorf("constant %s: %w", name, err)
		}
	}
	frames := coll.Maps[framesMap]
	frames.MaxEntries = slots
	// To the verifier each load may reach as far again as the bound allows, and
	// pages may be read to behind any header.
	frames.ValueSize += uint32(2*depth + 64 + maxBeforeData)
	frames.Key, frames.Value = nil, nil // they tell another size
	return nil
}

// body converts the program. cbpfc means pointers into a packet of the network
// stack, whose length is their difference; here they point into a map.
func (p *Program) body() (asm.Instructions, error) {
	insns, err := cbpfc.ToEBPF(p.insns, cbpfc.EBPFOpts{
		PacketStart: start, PacketEnd: end, Result: asm.R0, ResultLabel: result,
		Working: [4]asm.Register{regA, regX, scratch, indirect}, LabelPrefix: placeholder,
	})
	if err != nil {
		return nil, fmt.Errorf("expression %q: convert: %w", p.text, err)
	}
	out := make(asm.Instructions, 0, len(insns)+1)
	for i, insn := range insns {
		out = append(out, p.adapt(insn, i)...)
	}
	return append(out, asm.Return().WithSymbol(result)), nil
}

// adapt returns what stands for one of cbpfc's instructions; i makes a label.
func (p *Program) adapt(insn asm.Instruction, i int) asm.Instructions {
	same := func(o asm.Instruction) bool {
		return insn.OpCode == o.OpCode && insn.Dst == o.Dst && insn.Src == o.Src
	}
	switch {
	case insn.Symbol() == noMatch:
		insn.Constant = outside
	case same(asm.Sub.Reg32(regA, start)):
		// The length of the packet on the wire, not of what was read.
		return asm.Instructions{keepSymbol(asm.Mov.Reg32(regA, length), insn)}
	case insn.OpCode == asm.JGE.Imm(indirect, 0, "").OpCode && insn.Dst == indirect:
		// The verifier must see that a load stays in the map. What begins behind
		// the depth is behind the end too.
		insn.Constant = min(insn.Constant, int64(max(p.Depth(), 1)))
	case same(asm.LSh.Reg32(regA, regX)), same(asm.RSh.Reg32(regA, regX)):
		// Shifted by 32 and more nothing is left; eBPF takes the lowest five bits.
		label := fmt.Sprintf("expression_shift_%d", i)
		return asm.Instructions{
			keepSymbol(asm.JLT.Imm(regX, 32, label), insn),
			asm.Mov.Imm32(regA, 0),
			asm.Instruction{OpCode: insn.OpCode, Dst: insn.Dst, Src: insn.Src}.WithSymbol(label),
		}
	}
	return asm.Instructions{insn}
}

// keepSymbol moves old's label to the instruction that takes its place.
func keepSymbol(insn, old asm.Instruction) asm.Instruction {
	if s := old.Symbol(); s != "" {
		return insn.WithSymbol(s)
	}
	return insn
}

// replaceBody returns program with the body of the placeholder replaced. The verifier
// wants the first line and the type of the function as they were.
func replaceBody(program, body asm.Instructions) (asm.Instructions, bool) {
	for first := range program {
		if program[first].Symbol() != placeholder {
			continue
		}
		last := first + 1
		for last < len(program) && btf.FuncMetadata(&program[last]) == nil {
			last++
		}
		entry := asm.Mov.Imm32(asm.R0, 0)
		entry.Metadata = program[first].Metadata
		out := append(asm.Instructions{}, program[:first]...)
		out = append(append(out, entry), body...)
		return append(out, program[last:]...), true
	}
	return nil, false
}
