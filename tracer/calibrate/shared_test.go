package calibrate

import "testing"

// verdictSlot lies above the return address, as nft_do_chain's variables do.
const verdictSlot = belowWords + 40

// shared is a call by which rules and policies free.
func shared(fill func(i int, s *Sample)) []Sample {
	return rules(24, func(i int, s *Sample) {
		s.Words[108] = s.Hooks[s.Index].Priv
		s.Words[verdictSlot] = 0xffff8000_00000000 // NF_DROP and what is beside it
		s.hold(89, s.Handle)
		if i/2%2 == 0 {
			s.hold(89, 7) // the rule looked at last
			s.Handle = 0
			s.Words[verdictSlot] = 0xffff8000_ffffffff // NFT_CONTINUE
			if i%3 == 0 {
				s.Words[verdictSlot] = 0xffff8000_fffffffb // NFT_RETURN
			}
		}
		fill(i, s)
	})
}

func TestTheVerdictTellsRulesFromPoliciesAtOneCall(t *testing.T) {
	site, ok := Sites(shared(func(int, *Sample) {}))[place]
	if !ok || site.Kind != kindEither || site.Rule != 89 || site.Chain != 108 || site.Verdict != verdictSlot {
		t.Errorf("got %+v, %v; want either kind by slots 89, 108 and %d", site, ok, verdictSlot)
	}
}

func TestASharedCallIsLeftOut(t *testing.T) {
	tests := map[string]func(i int, s *Sample){
		"without the verdict": func(i int, s *Sample) { s.Words[verdictSlot] = 0xffff8000_00000001 },
		"with a verdict that once was another": func(i int, s *Sample) {
			if i == 4 {
				s.Words[verdictSlot] = 0
			}
		},
		"with a verdict in a register": func(i int, s *Sample) {
			s.Words[20], s.Words[verdictSlot] = s.Words[verdictSlot], 1
		},
		"without the rule":  func(i int, s *Sample) { s.Words[89] = 0; s.Memory[89] = [48]uint8{} },
		"without the chain": func(i int, s *Sample) { s.Words[108] = 0 },
		"with few policies": func(i int, s *Sample) {
			if s.Handle == 0 && i > 8 {
				s.Event.Location += 0x1000
			}
		},
	}
	for name, fill := range tests {
		if site, ok := Sites(shared(fill))[place]; ok {
			t.Errorf("%s: got %+v", name, site)
		}
	}
}

func TestACallSharedAtOneDistanceIsSharedAtAll(t *testing.T) {
	samples := shared(func(int, *Sample) {})
	for i := range rules(8, func(int, *Sample) {}) {
		s := newSample(Expect{Handle: uint64(10 + i), Index: i % 2})
		s.Words[belowWords+11], s.Words[belowWords+14] = 0, location
		s.hold(92, s.Handle)
		samples = append(samples, s)
	}
	far := place
	far.Distance = 14
	if site, ok := Sites(samples)[far]; ok {
		t.Errorf("got %+v for a call that policies use too", site)
	}
}

func TestRulesWithoutAnyPolicyProveNothing(t *testing.T) {
	samples := rules(8, func(i int, s *Sample) { s.hold(89, s.Handle) })
	if site, ok := Sites(samples[:8])[place]; ok {
		t.Errorf("got %+v, and policies may use that call too", site)
	}
}

func TestSignedReturnAddressesAreFound(t *testing.T) {
	samples := rules(8, func(i int, s *Sample) {
		s.Words[belowWords+11] ^= uint64(i) << 48
		s.ReturnBits = 1<<48 - 1
		s.hold(89, s.Handle)
	})
	if site := Sites(samples)[place]; site.Rule != 89 {
		t.Errorf("got %+v, want rule in slot 89", site)
	}
}
