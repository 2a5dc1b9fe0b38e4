package calibrate

import "github.com/droptrace/droptrace/bpf"

// kindsAt tells what dropped at each location, a bit per kind, at whatever distance.
func kindsAt(samples []Sample) map[uint64]uint8 {
	kinds := make(map[uint64]uint8)
	for i := range samples {
		kinds[samples[i].Event.Location] |= 1 << samples[i].kind()
	}
	return kinds
}

const (
	onlyRules        = 1 << kindRule
	onlyPolicies     = 1 << kindPolicy
	onlyHooks        = 1 << kindHook
	rulesAndPolicies = onlyRules | onlyPolicies
)

// analyzeShared is analyze for a call by which rules and policies free: a compiler
// may make one of the two (GCC does on arm64). The verdict in nft_do_chain's frame
// tells which it was.
func analyzeShared(group []Sample) (bpf.KernelFrameSite, bool) {
	var rules, policies []Sample
	for _, s := range group {
		if s.kind() == kindRule {
			rules = append(rules, s)
		} else {
			policies = append(policies, s)
		}
	}
	site := emptySite(kindEither)
	if !enough(rules) || !enough(policies) {
		return site, false
	}
	site.Rule = slot(rules, (*Sample).heldRule)
	site.Chain = slot(policies, (*Sample).heldChain)
	site.Pkt = slot(group, (*Sample).heldPacket)
	site.Verdict = slot(group, (*Sample).heldVerdict)
	return site, site.Rule != noSlot && site.Chain != noSlot && site.Verdict != noSlot
}

// heldVerdict tells whether the word begins with the verdict of struct nft_regs:
// NF_DROP of a rule, NFT_CONTINUE or NFT_RETURN before a policy. It is a variable
// in memory, so it lies above the return address.
func (s *Sample) heldVerdict(slot int) bool {
	const nfDrop, nftContinue, nftReturn = 0, -1, -5
	code := int32(s.Words[slot])
	if slot <= belowWords+s.distance() {
		return false
	}
	if s.kind() == kindRule {
		return code == nfDrop
	}
	return code == nftContinue || code == nftReturn
}
