package nftables

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Rules that iptables-nft writes in nf_tables' own expressions are read in two
// ways that know nothing of each other: from their bytecode, and from the text
// that iptables-nft-save makes of it. Both must say the same.
func TestTwoReadingsOfARuleAgree(t *testing.T) {
	const rulesPerFamily = 400
	r := rand.New(rand.NewPCG(1, 2))
	for _, family := range []string{"ip", "ip6"} {
		program := map[string]string{"ip": "iptables-nft-restore", "ip6": "ip6tables-nft-restore"}[family]
		var input strings.Builder
		input.WriteString("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:other - [0:0]\n")
		for range rulesPerFamily {
			fmt.Fprintf(&input, "-A FORWARD %s\n", randomRule(r, family))
		}
		input.WriteString("COMMIT\n")
		n := newNamespace(t)
		n.Run(t, input.String(), program)
		compareReadings(t, n.read(t), rulesPerFamily)
	}
}

func compareReadings(t *testing.T, s *Snapshot, want int) {
	t.Helper()
	c := &conn{ns: s.texts.ns}
	defer c.close()
	rules, err := readModel(context.Background(), s, c)
	if err != nil {
		t.Fatal(err)
	}
	table := rules.Tables[0]
	texts, err := s.tableTexts(context.Background(), s.rules.Tables[0])
	if err != nil {
		t.Fatal(err)
	}
	reader := iptables.NewReader(table, nil, nil)
	compared := 0
	for i, c := range table.Chains {
		for j, rule := range c.Rules {
			bytecode := *rule
			code := compatNames(rule)
			if len(code) > 0 {
				t.Errorf("%s: x_tables' %v has a part in it", texts[i][j], code)
				continue
			}
			if err := reader.Read(rule, texts[i][j], func(string) bool { return false }); err != nil {
				t.Errorf("%s: %v", texts[i][j], err)
				continue
			}
			compared++
			if got, want := meaning(rule.Statements), meaning(bytecode.Statements); got != want {
				t.Errorf("%s\ntext      %s\nbytecode  %s", texts[i][j], got, want)
			}
		}
	}
	if compared != want {
		t.Errorf("%d rules compared, want %d", compared, want)
	}
}

// meaning writes statements so that what means the same is the same: in any
// order, with a prefix loaded short as one of the whole field, and an interface's
// name with what stands behind its NUL.
func meaning(statements []ruleset.Statement) string {
	var parts []string
	for _, s := range statements {
		switch s := s.(type) {
		case *ruleset.Match:
			f, mask, ranges := widen(s)
			parts = append(parts, fmt.Sprintf("%v & %x in %x not %v", f, mask, ranges, s.Negate))
		case *ruleset.Verdict:
			target := ""
			if s.Target != nil {
				target = s.Target.Name
			}
			parts = append(parts, fmt.Sprintf("verdict %d %s", s.Kind, target))
		case *ruleset.Opaque:
			parts = append(parts, s.Kind)
		default:
			parts = append(parts, fmt.Sprintf("%T", s))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

func widen(m *ruleset.Match) (f ruleset.Field, mask []byte, ranges []ruleset.Range) {
	f, mask, ranges = m.Fields[0], m.Mask, m.Ranges
	base, offset, length, ok := f.IsPayload()
	whole := 0
	for _, address := range []ruleset.Field{
		ruleset.IPSource, ruleset.IPDestination, ruleset.IP6Source, ruleset.IP6Destination,
	} {
		if b, o, l, _ := address.IsPayload(); ok && b == base && o == offset && l > length {
			f, whole = address, l-length
		}
	}
	if f == ruleset.InName || f == ruleset.OutName {
		return f, mask, endNames(ranges)
	}
	// A mask of ones in front is a range.
	if whole == 0 && mask != nil && len(ranges) == 1 && bytes.Equal(ranges[0].From, ranges[0].To) && prefixMask(mask) {
		r := ruleset.Range{From: bytes.Clone(ranges[0].From), To: bytes.Clone(ranges[0].To)}
		for i := range r.To {
			r.To[i] |= ^mask[i]
		}
		return f, nil, []ruleset.Range{r}
	}
	if whole == 0 {
		return f, mask, ranges
	}
	var wide []ruleset.Range
	for _, r := range ranges {
		wide = append(wide, ruleset.Range{
			From: append(bytes.Clone(r.From), make([]byte, whole)...),
			To:   append(bytes.Clone(r.To), bytes.Repeat([]byte{0xff}, whole)...),
		})
	}
	return f, mask, wide
}

func endNames(ranges []ruleset.Range) []ruleset.Range {
	ended := slices.Clone(ranges)
	for i, r := range ended {
		if end := bytes.IndexByte(r.From, 0); end >= 0 && end < len(r.To) && bytes.Equal(r.From[:end+1], r.To[:end+1]) {
			ended[i].To = r.From
		}
	}
	return ended
}

func prefixMask(mask []byte) bool {
	zero := false
	for _, b := range mask {
		for bit := 7; bit >= 0; bit-- {
			if b>>bit&1 == 0 {
				zero = true
			} else if zero {
				return false
			}
		}
	}
	return true
}

// randomRule is a rule of what iptables-nft has nf_tables' expressions for.
func randomRule(r *rand.Rand, family string) string {
	var words []string
	not := func() string {
		if r.IntN(3) == 0 {
			return "! "
		}
		return ""
	}
	maybe := func(format string, args ...any) {
		if r.IntN(3) == 0 {
			words = append(words, not()+fmt.Sprintf(format, args...))
		}
	}
	maybe("-s %s", randomNetwork(r, family))
	maybe("-d %s", randomNetwork(r, family))
	maybe("-i %s", []string{"eth0", "eth+", "a.b-c", "wg1+"}[r.IntN(4)])
	maybe("-o %s", []string{"eth1", "e+", "veth12345678901"}[r.IntN(3)])
	words = append(words, randomTransport(r, not)...)
	if family == "ip" && r.IntN(8) == 0 {
		words = append(words, not()+"-f")
	}
	if r.IntN(5) == 0 {
		words = append(words, fmt.Sprintf("-m mark %s--mark %#x/%#x", not(), r.IntN(1<<16), r.Uint32()|1))
	}
	if r.IntN(8) == 0 {
		words = append(words, "-m limit --limit 5/sec")
	}
	words = append(words, []string{"-j ACCEPT", "-j DROP", "-j RETURN", "-j other", "-g other", ""}[r.IntN(6)])
	return strings.Join(words, " ")
}

func randomTransport(r *rand.Rand, not func() string) []string {
	port := func() string {
		a, b := r.IntN(1<<16), r.IntN(1<<16)
		switch r.IntN(3) {
		case 0:
			return fmt.Sprintf("%d:%d", min(a, b), max(a, b))
		case 1:
			return fmt.Sprintf("%d:", a)
		}
		return fmt.Sprint(a)
	}
	switch r.IntN(4) {
	case 0:
		return []string{not() + "-p " + []string{"tcp", "udp", "gre", "47", "200", "sctp"}[r.IntN(6)]}
	case 1:
		words := []string{"-p tcp -m tcp " + not() + "--dport " + port()}
		if r.IntN(2) == 0 {
			words = append(words, not()+"--sport "+port())
		}
		if r.IntN(2) == 0 {
			words = append(words, not()+[]string{"--syn", "--tcp-flags SYN,ACK SYN", "--tcp-flags ALL NONE"}[r.IntN(3)])
		}
		return words
	case 2:
		return []string{"-p udp -m udp " + not() + "--sport " + port()}
	}
	return nil
}

func randomNetwork(r *rand.Rand, family string) string {
	if family == "ip6" {
		return fmt.Sprintf("2001:db8:%x::%x/%d", r.IntN(1<<16), r.IntN(1<<16), 1+r.IntN(128))
	}
	address := fmt.Sprintf("%d.%d.%d.%d", 1+r.IntN(223), r.IntN(256), r.IntN(256), r.IntN(256))
	if r.IntN(5) == 0 {
		return fmt.Sprintf("%s/255.%d.255.%d", address, r.IntN(256), r.IntN(256))
	}
	return fmt.Sprintf("%s/%d", address, 1+r.IntN(32))
}
