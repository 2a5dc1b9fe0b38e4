// Package calibrate finds where a kernel's compiler keeps the variables that
// name a drop's rule: it drops packets of its own, in a namespace of its own, by
// rules that it knows, and looks which words of the stack held them each time.
//
// At one call site a variable's home is fixed, so what held over a dozen
// different rules there holds for all. A word that fitted by chance, or left
// over from the packet before, fails when rules alternate.
package calibrate

import (
	"encoding/binary"

	"github.com/droptrace/droptrace/bpf"
)

// Sizes of bpf/frame.h.
const (
	belowWords    = 96
	argumentWords = 4
	distanceWords = 32
	hookEntry     = 16 // sizeof(struct nf_hook_entry)
)

// noSlot marks a variable that no word held.
const noSlot = -1

// Kinds of sites: enum frame_kind of bpf/config.h.
const (
	kindRule   = 1
	kindPolicy = 2
	kindHook   = 3
	kindEither = 4
)

// Expect is what is known of a drop beforehand.
type Expect struct {
	Handle uint64 // of the rule; 0 for a policy
	Index  int    // of the hook entry that dropped
}

// Sample is one drop, seen and known.
type Sample struct {
	Expect
	*bpf.KernelCalibration
	// ByHook is true where nf_hook_slow freed the packet.
	ByHook bool
	// ReturnBits are those of a return address that the stack holds as they are.
	ReturnBits uint64
}

func (s *Sample) kind() uint8 {
	switch {
	case s.ByHook:
		return kindHook
	case s.Handle == 0:
		return kindPolicy
	}
	return kindRule
}

// distance mirrors frame_distance of bpf/frame.h.
func (s *Sample) distance() int {
	for i := argumentWords; i < distanceWords; i++ {
		if (s.Words[belowWords+i]^s.Event.Location)&s.ReturnBits == 0 {
			return i
		}
	}
	return -1
}

func (s *Sample) memory(slot, offset int) uint64 {
	return binary.NativeEndian.Uint64(s.Memory[slot][offset:])
}

// heldRule tells whether the word points to the header of the expected rule:
// struct nft_rule_dp {is_last:1, dlen:12, handle:42}.
func (s *Sample) heldRule(slot int) bool {
	header := s.memory(slot, 0)
	return header&1 == 0 && header>>13&(1<<42-1) == s.Handle
}

func (s *Sample) heldChain(slot int) bool {
	return s.Words[slot] == s.Hooks[s.Index].Priv
}

// heldPacket tells whether the word points to struct nft_pktinfo {skb, state}.
func (s *Sample) heldPacket(slot int) bool {
	return s.memory(slot, 0) == s.Event.Skb && s.memory(slot, 8) == s.State
}

func (s *Sample) heldState(slot int) bool   { return s.Words[slot] == s.State }
func (s *Sample) heldEntries(slot int) bool { return s.Words[slot] == s.Entries }

func (s *Sample) heldIndex(slot int) bool {
	return uint32(s.Words[slot]) == uint32(s.Index)
}

// Sites returns, for each location and distance, the slots that held in every
// sample. One seen with a hook's kind and another, with too few samples, or without
// the slots that its kind stands on is left out. So are rules without any policy and
// policies without any rule: what was not seen may have come from the same call.
func Sites(samples []Sample) map[bpf.KernelFrameKey]bpf.KernelFrameSite {
	kinds := kindsAt(samples)
	var all uint8
	for _, k := range kinds {
		all |= k
	}
	groups := make(map[bpf.KernelFrameKey][]Sample)
	for _, s := range samples {
		if d := s.distance(); d >= 0 {
			key := bpf.KernelFrameKey{Location: s.Event.Location, Distance: int64(d)}
			groups[key] = append(groups[key], s)
		}
	}
	out := make(map[bpf.KernelFrameKey]bpf.KernelFrameSite)
	for key, group := range groups {
		if kinds[key.Location] != onlyHooks && all&rulesAndPolicies != rulesAndPolicies {
			continue
		}
		if site, ok := analyze(group, kinds[key.Location]); ok {
			out[key] = site
		}
	}
	return out
}

// minSamples and minDistinct keep chance out: so many drops, by so many rules,
// chains or hook entries.
const (
	minSamples  = 6
	minDistinct = 2
)

// enough keeps chance out.
func enough(group []Sample) bool {
	type answer struct {
		Expect
		priv uint64
	}
	distinct := make(map[answer]bool)
	for i := range group {
		distinct[answer{group[i].Expect, group[i].Hooks[group[i].Index].Priv}] = true
	}
	return len(group) >= minSamples && len(distinct) >= minDistinct
}

func emptySite(kind uint8) bpf.KernelFrameSite {
	return bpf.KernelFrameSite{
		Kind: kind, Verdict: noSlot,
		Rule: noSlot, Chain: noSlot, Pkt: noSlot,
		State: noSlot, Entries: noSlot, Index: noSlot,
	}
}

// analyze takes the samples of one call and distance, and the kinds of all at that
// call.
func analyze(group []Sample, kinds uint8) (bpf.KernelFrameSite, bool) {
	site := emptySite(group[0].kind())
	if kinds == rulesAndPolicies {
		return analyzeShared(group)
	}
	if kinds != 1<<site.Kind || !enough(group) {
		return site, false
	}
	switch site.Kind {
	case kindRule:
		site.Rule = slot(group, (*Sample).heldRule)
		site.Pkt = slot(group, (*Sample).heldPacket)
		return site, site.Rule != noSlot
	case kindPolicy:
		site.Chain = slot(group, (*Sample).heldChain)
		site.Pkt = slot(group, (*Sample).heldPacket)
		return site, site.Chain != noSlot
	}
	site.State = slot(group, (*Sample).heldState)
	site.Entries = slot(group, (*Sample).heldEntries)
	findIndex(group, &site)
	return site, site.State != noSlot
}

// slot returns the first word that held in every sample. Low words come first:
// they are registers that callees saved, which no leftover can pose as.
func slot(group []Sample, held func(*Sample, int) bool) int16 {
	for i := range group[0].Words {
		if all(group, func(s *Sample) bool { return held(s, i) }) {
			return int16(i)
		}
	}
	return noSlot
}

func all(group []Sample, ok func(*Sample) bool) bool {
	for i := range group {
		if !ok(&group[i]) {
			return false
		}
	}
	return true
}

// findIndex looks for nf_hook_slow's loop variable, as the number it is or as
// the pointer that a compiler may make of it.
func findIndex(group []Sample, site *bpf.KernelFrameSite) {
	if site.Index = slot(group, (*Sample).heldIndex); site.Index != noSlot {
		return
	}
	for i := range group[0].Words {
		bias := int64(group[0].Words[i]-group[0].Entries) - hookEntry*int64(group[0].Index)
		if bias < -hookEntry || bias > 2*hookEntry {
			continue
		}
		fits := func(s *Sample) bool {
			return int64(s.Words[i]-s.Entries) == bias+hookEntry*int64(s.Index)
		}
		if all(group, fits) {
			site.Index, site.IndexKind, site.IndexBias = int16(i), 1, int32(bias)
			return
		}
	}
}
