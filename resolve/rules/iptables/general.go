package iptables

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// build makes a rule's statements: iptables' own tests first, as ip_packet_match
// has them, then the matches in their order, then the target.
func (b *builder) build(r *ruleWords) error {
	if err := b.buildGeneral(r); err != nil {
		return err
	}
	for _, e := range r.matches {
		if err := b.buildMatch(e); err != nil {
			return err
		}
	}
	return b.buildTarget(r)
}

func (b *builder) buildGeneral(r *ruleWords) error {
	source, destination := ruleset.IPSource, ruleset.IPDestination
	if b.family == "ip6" {
		source, destination = ruleset.IP6Source, ruleset.IP6Destination
	}
	if err := b.buildAddress(r.source, source); err != nil {
		return err
	}
	if err := b.buildAddress(r.destination, destination); err != nil {
		return err
	}
	if err := b.buildInterface(r.in, ruleset.InName); err != nil {
		return err
	}
	if err := b.buildInterface(r.out, ruleset.OutName); err != nil {
		return err
	}
	if err := b.buildProtocol(r.protocol); err != nil {
		return err
	}
	if o := r.fragment; o.name != "" {
		o.neg = !o.neg // a later fragment is one whose offset is not 0
		b.matchMasked(o, ruleset.IPFragment, 0x1fff, 0)
	}
	return nil
}

func (b *builder) buildAddress(o option, f ruleset.Field) error {
	if o.name == "" {
		return nil
	}
	address, mask, err := parseNetwork(b.family, o.arg())
	if err != nil {
		return badValue(o, err)
	}
	b.matchAddress(o, f, address, mask)
	return nil
}

// matchAddress compares an address, which may stand in front of a longer field.
func (b *builder) matchAddress(o option, f ruleset.Field, address, mask []byte) {
	if isZero(mask) && !o.neg {
		return // 0.0.0.0/0
	}
	if contiguous(mask) && len(address) == f.Size() {
		b.match(o, f, network(address, mask))
		return
	}
	m := compare(o, f, ruleset.Range{From: padded(f, address), To: padded(f, address)})
	m.Mask = padded(f, mask)
	b.emit(m)
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func padded(f ruleset.Field, b []byte) []byte {
	out := make([]byte, f.Size())
	copy(out, b)
	return out
}

// ifNameSize is IFNAMSIZ.
const ifNameSize = 16

// buildInterface makes -i or -o. Where a hook has no such device the name is
// empty, which a negated one matches.
func (b *builder) buildInterface(o option, f ruleset.Field) error {
	if o.name == "" || o.arg() == "+" && !o.neg {
		return nil
	}
	r, err := interfaceRange(o.arg())
	if err != nil {
		return badValue(o, err)
	}
	b.match(o, f, r)
	return nil
}

// interfaceRange is the name, or all that a name with + at its end stands for.
func interfaceRange(name string) (ruleset.Range, error) {
	if name == "" || len(name) >= ifNameSize {
		return ruleset.Range{}, fmt.Errorf("%q is no interface: %w", name, ErrSyntax)
	}
	prefix, wild := strings.CutSuffix(name, "+")
	r := ruleset.Range{From: make([]byte, ifNameSize), To: make([]byte, ifNameSize)}
	copy(r.From, prefix)
	copy(r.To, prefix)
	if wild {
		for i := len(prefix); i < ifNameSize; i++ {
			r.To[i] = 0xff
		}
	}
	return r, nil
}

func (b *builder) buildMatch(e *extension) error {
	if e.spec == nil || e.strange {
		b.emit(&ruleset.Opaque{
			Kind: e.name, MayFail: true, MayDrop: !MatchPasses(e.name), Text: e.text(),
		})
		return nil
	}
	return e.spec.build(b, e)
}
