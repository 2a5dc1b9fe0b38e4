package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// proven tells what the packet was, or was not, that only the kernel could see: it
// dropped it by this rule, so every match of the rule held.
func (d *diagnosis) proven() []drop.Why {
	by := d.dropper()
	if by.rule == nil || !by.rule.Read || len(by.shape.doubts) == 0 || limitOf(&by.shape) != nil ||
		slices.ContainsFunc(by.shape.doubts, func(o *ruleset.Opaque) bool { return o.MayDrop || !o.Understood }) {
		return nil
	}
	for _, c := range by.shape.conditions {
		if d.truth(c) == replay.No {
			return nil // the packet is another one than met the rule
		}
	}
	var facts []string
	for _, o := range by.shape.doubts {
		if fact := d.factOf(by.rule, o); fact != "" && !slices.Contains(facts, fact) {
			facts = append(facts, fact)
		}
	}
	if len(facts) == 0 {
		return nil
	}
	return []drop.Why{{Code: drop.WhyRuleMatches, Message: fmt.Sprintf("%s drops what %s, and it did", d.ruleName(by.rule), strings.Join(facts, " and "))}}
}

// ipsecText matches nft's words for IPsec in a rule.
var ipsecText = regexp.MustCompile(`\b(?:rt ipsec|meta (?:secpath|ipsec)) (exists|missing|1|0)\b`)

// factOf says what a match that held means; "" where there are no words for it.
func (d *diagnosis) factOf(r *ruleset.Rule, o *ruleset.Opaque) string {
	text := o.Text
	if r.Chain.Table.Engine == ruleset.NFTables {
		if m := ipsecText.FindStringSubmatch(d.text(r)); m != nil {
			return ipsecFact(d.c.Hook.Name, m[1] == "missing" || m[1] == "0")
		}
	}
	switch o.Kind {
	case "policy":
		if strings.Contains(text, "! ") {
			return ""
		}
		way := d.c.Hook.Name
		if strings.Contains(text, "--dir out") {
			way = "output"
		}
		if strings.Contains(text, "--pol none") {
			return ipsecFact(way, true)
		}
		if strings.Contains(text, "--pol ipsec") {
			return ipsecFact(way, false)
		}
	case "time":
		return "comes at this time (" + text + ")"
	case "string":
		return "has these bytes in it (" + text + ")"
	case "socket":
		return "belongs to a socket of this host (" + text + ")"
	case "osf":
		return "looks like this operating system's (" + text + ")"
	case "cgroup":
		return "was sent from this cgroup (" + text + ")"
	case "helper":
		return "belongs to a connection with this helper (" + text + ")"
	case "rpfilter":
		if strings.Contains(text, "--invert") {
			return "fails the reverse path test (" + text + ")"
		}
	case "ipvs":
		return "belongs to IPVS so (" + text + ")"
	case "bpf":
		return "this BPF program matches (" + text + ")"
	}
	return ""
}

func ipsecFact(hook string, without bool) string {
	verb := "comes"
	if hook == "output" || hook == "postrouting" {
		verb = "leaves"
	}
	if without {
		return verb + " without IPsec"
	}
	return verb + " through IPsec"
}

// rest says what the dropping place does to the packet: only a policy and a rule
// without matches drop all that comes to them.
func (d *diagnosis) rest() string {
	place := d.c.Place
	name := d.placeName(place)
	if place.Rule == nil {
		return name + " drops everything else"
	}
	var texts []string
	for _, m := range d.dropper().shape.matches {
		if m.Text != "" && !m.Implied && !slices.Contains(texts, m.Text) {
			texts = append(texts, m.Text)
		}
	}
	switch {
	case len(texts) > 0:
		return fmt.Sprintf("%s drops what matches %s", name, strings.Join(texts, " "))
	case len(d.dropper().shape.conditions) > 0:
		return name + " drops it"
	}
	return name + " drops everything else"
}

// narrow tells a drop on purpose: by the kind of packet, with nothing that accepts.
func (d *diagnosis) narrow() []drop.Why {
	by := d.dropper()
	if by.rule == nil || by.shape.odd || len(by.shape.doubts) > 0 || by.shape.has(ruleset.PacketType) == nil || !d.holds(&by.shape) {
		return nil
	}
	return meant("%s: the drop looks meant", d.rest())
}
