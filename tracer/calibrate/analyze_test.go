package calibrate

import (
	"encoding/binary"
	"testing"

	"github.com/droptrace/droptrace/bpf"
)

const location = 0xffffffff81000100

var place = bpf.KernelFrameKey{Location: location, Distance: 11}

// newSample is a drop whose frame holds the return address eleven words up.
func newSample(want Expect) Sample {
	c := &bpf.KernelCalibration{State: 0xffffc90000001000, Entries: 0xffff888000002000}
	c.Event.Location = location
	c.Words[belowWords+11] = location
	for i := range c.Hooks {
		c.Hooks[i].Priv = 0xffff888000003000 + uint64(i)*0x100
	}
	return Sample{Expect: want, KernelCalibration: c, ReturnBits: ^uint64(0)}
}

// elsewhere is a drop by a policy at a call of its own: rules are believed only
// beside policies.
func elsewhere() Sample {
	s := newSample(Expect{})
	s.Event.Location = location + 0x100
	return s
}

// hold puts a pointer to a rule's header into a slot.
func (s *Sample) hold(slot int, handle uint64) {
	s.Words[slot] = 0xffff888000004000
	binary.NativeEndian.PutUint64(s.Memory[slot][:], handle<<13|64<<1)
}

func rules(n int, fill func(i int, s *Sample)) []Sample {
	var out []Sample
	for i := range n {
		s := newSample(Expect{Handle: uint64(10 + i), Index: i % 2})
		fill(i, &s)
		out = append(out, s)
	}
	return append(out, elsewhere())
}

func TestTheSlotThatAlwaysHeldTheRuleIsFound(t *testing.T) {
	samples := rules(8, func(i int, s *Sample) { s.hold(89, s.Handle) })
	site, ok := Sites(samples)[place]
	if !ok || site.Kind != kindRule || site.Rule != 89 {
		t.Errorf("got %+v, %v; want rule in slot 89", site, ok)
	}
}

func TestASlotThatHoldsThePreviousPacketsRuleIsNot(t *testing.T) {
	samples := rules(8, func(i int, s *Sample) {
		s.hold(50, s.Handle-1) // left over from the packet before
		s.hold(114, s.Handle)
	})
	if site := Sites(samples)[place]; site.Rule != 114 {
		t.Errorf("got slot %d, want 114", site.Rule)
	}
}

func TestALocationWithoutAnyRuleSlotIsLeftOut(t *testing.T) {
	samples := rules(8, func(i int, s *Sample) {
		if i != 5 {
			s.hold(89, s.Handle)
		}
	})
	if site, ok := Sites(samples)[place]; ok {
		t.Errorf("got %+v for a slot that failed once", site)
	}
}

func TestAnotherFrameInBetweenIsAnotherPlace(t *testing.T) {
	samples := rules(16, func(i int, s *Sample) {
		if i%2 == 0 {
			s.hold(89, s.Handle)
			return
		}
		s.Words[belowWords+11] = 0
		s.Words[belowWords+14] = location
		s.hold(92, s.Handle)
	})
	far := bpf.KernelFrameKey{Location: location, Distance: 14}
	if sites := Sites(samples); sites[place].Rule != 89 || sites[far].Rule != 92 {
		t.Errorf("got slots %d and %d, want 89 and 92", sites[place].Rule, sites[far].Rule)
	}
}

func TestFewSamplesOrOneAnswerProveNothing(t *testing.T) {
	few := rules(minSamples-1, func(i int, s *Sample) { s.hold(89, s.Handle) })
	if _, ok := Sites(few)[place]; ok {
		t.Error("a site was made of too few samples")
	}
	same := rules(8, func(i int, s *Sample) {
		s.Expect = Expect{Handle: 7}
		s.hold(89, 7)
	})
	if _, ok := Sites(same)[place]; ok {
		t.Error("a site was made of one rule alone")
	}
}

func TestTheHookIndexIsFoundAsNumberAndAsPointer(t *testing.T) {
	hook := func(put func(s *Sample)) []Sample {
		var out []Sample
		for i := range 8 {
			s := newSample(Expect{Index: i % 4})
			s.ByHook = true
			s.Words[102], s.Words[90] = s.State, s.Entries
			put(&s)
			out = append(out, s)
		}
		return out
	}
	number := Sites(hook(func(s *Sample) { s.Words[103] = uint64(s.Index) | 0xdead<<32 }))[place]
	if number.Index != 103 || number.IndexKind != 0 || number.State != 102 {
		t.Errorf("got %+v, want the number in slot 103", number)
	}
	pointer := Sites(hook(func(s *Sample) {
		s.Words[0] = 99 // no slot may pass for the number
		for i := range s.Words {
			if s.Words[i] == 0 {
				s.Words[i] = 0xffff
			}
		}
		s.Words[103] = s.Entries + 8 + hookEntry*uint64(s.Index)
	}))[place]
	if pointer.Index != 103 || pointer.IndexKind != 1 || pointer.IndexBias != 8 {
		t.Errorf("got %+v, want a pointer with bias 8 in slot 103", pointer)
	}
}
