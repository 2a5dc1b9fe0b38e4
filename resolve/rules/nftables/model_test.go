package nftables

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/statement"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func (n *testNamespace) model(t testing.TB) *ruleset.Ruleset {
	t.Helper()
	rules, err := ReadModel(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// describeRule writes statements with the fields and bytes that they compare, beside
// the text for people; what the tool does not show stands in brackets.
func describeRule(list []ruleset.Statement) []string {
	var out []string
	for _, s := range list {
		switch s := s.(type) {
		case *ruleset.Match:
			text := describeKey(s.Fields, s.Mask)
			if s.Negate {
				text += "!"
			}
			text += "="
			if s.Set != nil {
				text += describeSet(s.Set)
			} else {
				text += describeRanges(s.Ranges)
			}
			if s.Implied {
				text = "[" + text + "]"
			} else {
				text += " `" + s.Text + "`"
			}
			out = append(out, text)
		case *ruleset.VerdictMap:
			out = append(out, describeKey(s.Fields, s.Mask)+" vmap "+describeSet(s.Set)+" `"+s.Text+"`")
		case *ruleset.Verdict:
			text := s.Text
			if s.Target != nil {
				text += "→" + s.Target.Name
			}
			if s.Bypass {
				text += " or accept"
			}
			out = append(out, text)
		case *ruleset.Assign:
			text := "set " + fieldName(s.Field)
			switch {
			case !s.Known:
				text += " unknown"
			case s.From != 0:
				text += " from " + fieldName(s.From) + " & " + hex.EncodeToString(s.Value)
			default:
				text += fmt.Sprintf(" & %x ^ %x", s.Mask, s.Value)
			}
			out = append(out, text+" `"+s.Text+"`")
		case *ruleset.NAT:
			out = append(out, fmt.Sprintf("nat %d %v-%v:%d-%d known=%v `%s`", s.Kind, s.From, s.To, s.FromPort, s.ToPort, s.Known, s.Text))
		case *ruleset.NoTrack:
			out = append(out, "notrack")
		case *ruleset.Opaque:
			may := ""
			for i, is := range []bool{s.Understood, s.MayFail, s.MayDrop, s.MayAccept} {
				if is {
					may += "ufda"[i : i+1]
				}
			}
			out = append(out, fmt.Sprintf("opaque %s %s `%s`", s.Kind, may, s.Text))
		default:
			out = append(out, fmt.Sprintf("%T", s))
		}
	}
	return out
}

func fieldName(f ruleset.Field) string {
	if strings.HasPrefix(f.String(), "field ") {
		return fmt.Sprintf("%#x", uint32(f))
	}
	return f.String()
}

func describeKey(fields []ruleset.Field, mask []byte) string {
	var names []string
	for _, f := range fields {
		names = append(names, fieldName(f))
	}
	text := strings.Join(names, " . ")
	if mask != nil {
		text += " & " + hex.EncodeToString(mask)
	}
	return text
}

func describeRange(r ruleset.Range) string {
	if string(r.From) == string(r.To) {
		return hex.EncodeToString(r.From)
	}
	return hex.EncodeToString(r.From) + "-" + hex.EncodeToString(r.To)
}

func describeRanges(list []ruleset.Range) string {
	var out []string
	for _, r := range list {
		out = append(out, describeRange(r))
	}
	return strings.Join(out, ",")
}

func describeSet(s *ruleset.Set) string {
	var out []string
	for _, e := range s.Elements {
		text := describeRange(e.Range)
		if e.CatchAll {
			text = "*"
		}
		if e.Verdict != nil {
			text += ":" + e.Verdict.Text
			if e.Verdict.Target != nil {
				text += "→" + e.Verdict.Target.Name
			}
		}
		if e.Data != nil {
			text += ":" + hex.EncodeToString(e.Data)
		}
		if e.Opaque != nil {
			text += "+" + e.Opaque.Kind
		}
		if e.Expires > 0 {
			text += " expires"
		}
		out = append(out, text)
	}
	name := ""
	if !s.Anonymous {
		name = "@" + s.Name
	}
	if !s.Complete {
		name += "?"
	}
	if s.Dynamic {
		name += "~"
	}
	return name + "{" + strings.Join(out, " ") + "}"
}

func TestStatements(t *testing.T) {
	for _, group := range statementTests {
		t.Run(group.name, func(t *testing.T) {
			ns := newNamespace(t)
			ns.nft(t, replaceRules(group))
			c := ns.chain(t, "c")
			if len(c.Rules) != len(group.tests) {
				t.Fatalf("%d rules, want %d", len(c.Rules), len(group.tests))
			}
			for i, r := range c.Rules {
				got := describeRule(r.Statements)
				if want := group.tests[i][1:]; !slices.Equal(want, got) || !r.Read {
					t.Errorf("%s: read %v (-want +got):\n%s", group.tests[i][0], r.Read, cmp.Diff(want, got))
				}
			}
		})
	}
}

func (n *testNamespace) chain(t testing.TB, name string) *ruleset.Chain {
	t.Helper()
	for _, tb := range n.model(t).Tables {
		for _, c := range tb.Chains {
			if c.Name == name {
				return c
			}
		}
	}
	t.Fatalf("no chain %q", name)
	return nil
}

func TestSets(t *testing.T) {
	const header = "table inet t {\n chain a {\n }\n chain b {\n }\n"
	const footer = " chain c {\n type filter hook input priority 0;\n %s\n }\n}\n"
	for _, test := range []struct {
		name, set, rule, want string
	}{
		{"addresses", "set s { type ipv4_addr; elements = { 192.0.2.2, 192.0.2.1 } }", "ip saddr @s drop", "@s{c0000201 c0000202}"},
		{
			"intervals", "set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.5-192.0.2.9, 255.255.255.255, 0.0.0.0 } }",
			"ip saddr @s drop", "@s{00000000 0a000000-0affffff c0000205-c0000209 ffffffff}",
		},
		{
			"everything", "set s { type ipv4_addr; flags interval; elements = { 0.0.0.0/0 } }",
			"ip saddr @s drop", "@s{00000000-ffffffff}",
		},
		{
			"intervals side by side", "map m { type inet_service : verdict; flags interval; elements = { 10-19 : jump a, 20-29 : drop, 30 : goto b } }",
			"tcp dport vmap @m", "@m{000a-0013:jump a→a 0014-001d:drop 001e:goto b→b}",
		},
		{
			"intervals up to the end", "set s { type inet_service; flags interval; elements = { 1024-65535 } }",
			"tcp dport @s drop", "@s{0400-ffff}",
		},
		{
			"host order", "set s { type mark; elements = { 1, 256 } }",
			"meta mark @s drop", "@s{00000001 00000100}",
		},
		{
			"intervals of marks", "set s { type mark; flags interval; elements = { 1-10, 256 } }",
			"meta mark @s drop", "@s{00000001-0000000a 00000100}",
		},
		{
			"concatenation", "set s { type ipv4_addr . inet_service . mark; elements = { 192.0.2.1 . 80 . 1 } }",
			"ip saddr . tcp dport . meta mark @s drop", "@s{c0000201005000000001}",
		},
		{
			"concatenated intervals", "set s { type ipv4_addr . inet_service; flags interval; elements = { 192.0.2.0/24 . 80-90, 10.0.0.1 . 22 } }",
			"ip saddr . tcp dport @s drop", "@s{0a0000010016 c00002000050-c00002ff005a}",
		},
		{
			"concatenated map", "map m { type ipv4_addr . inet_proto : verdict; elements = { 192.0.2.1 . tcp : accept, 192.0.2.1 . udp : drop } }",
			"ip saddr . meta l4proto vmap @m", "@m{c000020106:accept c000020111:drop}",
		},
		{
			"catch-all", "map m { type inet_service : verdict; elements = { 22 : accept, * : drop } }",
			"tcp dport vmap @m", "@m{*:drop 0016:accept}",
		},
		{
			"catch-all of a set of intervals", "set s { type inet_service; flags interval; elements = { 22-30, * } }",
			"tcp dport @s drop", "@s{* 0016-001e}",
		},
		{
			"timeouts", "set s { type ipv4_addr; timeout 1h; elements = { 192.0.2.1 } }",
			"ip saddr @s drop", "@s{c0000201 expires}",
		},
		{
			"dynamic", "set s { type ipv4_addr; flags dynamic,timeout; timeout 1h; }",
			"ip saddr @s drop", "@s~{}",
		},
		{
			"limits of elements", "set s { type ipv4_addr; limit rate 1/second; elements = { 192.0.2.1 } }",
			"ip saddr @s drop", "@s{c0000201+limit}",
		},
		{
			"counters of elements", "set s { type ipv4_addr; counter; elements = { 192.0.2.1 } }",
			"ip saddr @s drop", "@s{c0000201}",
		},
		{
			"interface names", "set s { type ifname; flags interval; elements = { \"eth*\", \"lo\" } }",
			"iifname @s drop", "@s{65746800000000000000000000000000-657468ffffffffffffffffffffffffff 6c6f0000000000000000000000000000}",
		},
		{
			"interface indexes", "set s { type iface_index; elements = { lo } }",
			"iif @s drop", "@s{00000001}",
		},
		{
			"addresses of IPv6", "set s { type ipv6_addr; flags interval; elements = { 2001:db8::/126 } }",
			"ip6 saddr @s drop", "@s{20010db8000000000000000000000000-20010db8000000000000000000000003}",
		},
		{
			"nobody asks it", "set s { type ipv4_addr; elements = { 192.0.2.1 } }", "drop", "@s{c0000201}",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			ns := newNamespace(t)
			ns.nft(t, header+" "+test.set+"\n"+fmt.Sprintf(footer, test.rule))
			sets := ns.model(t).Tables[0].Sets
			if len(sets) != 1 {
				t.Fatalf("%d sets", len(sets))
			}
			if got := describeSet(sets[0]); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestSetAskedInTwoOrders(t *testing.T) {
	ns := newNamespace(t)
	// The same bytes are 1 as a mark, which the kernel keeps in host order, and
	// 0x01000000 as what @nh holds: each rule sees the values of its own field.
	ns.nft(t, "table ip t {\n set s {\n typeof meta mark\n elements = { 1 }\n }\n chain c {\n meta mark @s drop\n }\n}\n")
	c := ns.chain(t, "c")
	m := c.Rules[0].Statements[0].(*ruleset.Match)
	if got := describeSet(m.Set); got != "@s{00000001}" {
		t.Errorf("got %s", got)
	}
	if m.Set != c.Table.Sets[0] || m.Set.Table != c.Table {
		t.Error("the match's set is not the table's")
	}
}

// The model's rules are found by the handles of the snapshot's, and tell the
// same.
func TestModelJoinsSnapshot(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, "table inet t {\n chain other {\n counter packets 7 bytes 9 reject\n }\n chain c {\n type filter hook input priority 5; policy drop;\n"+
		"tcp dport { 1, 2 } accept comment \"hello\"\n jump other\n }\n}\ntable ip sleeping {\n flags dormant\n chain c {\n drop\n }\n}\n")
	s := ns.read(t)
	model, err := s.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(model.Tables) != 1 || model.Generation != s.Ruleset().Generation {
		t.Fatalf("%d tables of generation %d", len(model.Tables), model.Generation)
	}
	for _, c := range model.Tables[0].Chains {
		for _, r := range c.Rules {
			known, ok := s.Rule(c.Table.Handle, r.Handle)
			if !ok || known == r || known.Number != r.Number || known.CanDrop != r.CanDrop || known.Comment != r.Comment || r.Chain != c {
				t.Errorf("rule %d of %s: %+v, in the snapshot %+v", r.Number, c.Name, r, known)
			}
			if known.Read || known.Statements != nil {
				t.Error("the snapshot's rule was changed")
			}
		}
	}
	if r := model.Tables[0].Chains[0].Rules[0]; !r.Counts || r.Packets != 7 {
		t.Errorf("counter: %v %d", r.Counts, r.Packets)
	}
}

func TestModelOfAnotherGeneration(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, "table ip t {\n chain c {\n drop\n }\n}\n")
	s := ns.read(t)
	ns.nft(t, "flush ruleset\ntable ip t {\n chain c {\n accept\n }\n}\n")
	if _, err := s.Model(t.Context()); !errors.Is(err, ErrChanged) {
		t.Errorf("error %v", err)
	}
}

func TestModelOfNothing(t *testing.T) {
	if model := newNamespace(t).model(t); len(model.Tables) != 0 {
		t.Errorf("%d tables", len(model.Tables))
	}
}

func TestSetTooLargeIsNotComplete(t *testing.T) {
	many := elementBytes(slices.Repeat([]attr{{unix.NFTA_SET_ELEM_KEY, []attr{{unix.NFTA_DATA_VALUE, []byte{1, 2, 3, 4}}}}}, 1024)...)
	ip := uint8(unix.NFPROTO_IPV4)
	kernel := &fakeKernel{
		generations: []uint32{1},
		objects: map[uint16][]object{
			unix.NFT_MSG_GETTABLE: {{ip, tableBytes("t", 1)}},
			unix.NFT_MSG_GETCHAIN: {{ip, baseBytes("t", "in", 1, 1, 0, nfAccept)}},
			unix.NFT_MSG_GETSET:   {{ip, setBytes("t", "s", 0, attr{unix.NFTA_SET_KEY_LEN, uint32(4)})}},
		},
		elements: map[string][][]byte{"s": slices.Repeat([][]byte{many}, maxModelElements/1024+1)},
	}
	model, err := readModel(t.Context(), kernel.snapshot(t), kernel)
	if err != nil {
		t.Fatal(err)
	}
	if s := model.Tables[0].Sets[0]; s.Complete || len(s.Elements) == 0 {
		t.Errorf("complete %v with %d elements", s.Complete, len(s.Elements))
	}
}

func TestRulesOfIPTables(t *testing.T) {
	ns := newNamespace(t)
	ns.iptables(t, `
iptables-nft -A INPUT -s 192.0.2.0/24 -p tcp --dport 22 -i eth0 -j ACCEPT
iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j DROP
iptables-nft -A INPUT -m conntrack --ctstate ESTABLISHED -j CONNMARK --set-mark 1
iptables-nft -A INPUT -p tcp -m multiport --dports 1,2 -m comment --comment hi -j REJECT
iptables-nft -A INPUT ! -s 192.0.2.1 -i eth+ -j DROP`)
	// As the bytecode has them: see readTexts for the rest.
	snapshot := ns.read(t)
	src := &conn{ns: ns}
	defer src.close()
	rules, err := readModel(t.Context(), snapshot, src)
	if err != nil {
		t.Fatal(err)
	}
	c := rules.Tables[0].Chains[0]
	want := [][]string{
		{
			"iifname=65746830000000000000000000000000 `iifname \"eth0\"`", "[meta l4proto=06]",
			"ip saddr=c0000200-c00002ff `ip saddr 192.0.2.0/24`", "dport=0016 `tcp dport 22`", "accept",
		},
		// That neither conntrack nor CONNMARK can drop is known of them.
		{"opaque conntrack fd `-m conntrack`", "drop"},
		{"opaque conntrack f `-m conntrack`", "opaque CONNMARK fa `-j CONNMARK`"},
		{"meta l4proto=06 `meta l4proto tcp`", "opaque multiport fd `-m multiport`", "opaque REJECT fda `-j REJECT`"},
		{"iifname=65746800000000000000000000000000-657468ffffffffffffffffffffffffff `iifname \"eth*\"`", "ip saddr!=c0000201 `ip saddr != 192.0.2.1`", "drop"},
	}
	for i, r := range c.Rules {
		if got := describeRule(r.Statements); !slices.Equal(got, want[i]) {
			t.Errorf("rule %d (-want +got):\n%s", r.Number, cmp.Diff(want[i], got))
		}
		if compat := i >= 1 && i <= 3; r.Compat != compat || c.Table.Engine != ruleset.IPTablesNFT {
			t.Errorf("rule %d: compat %v, engine %s", r.Number, r.Compat, c.Table.Engine)
		}
	}
}

// What was loaded before a field was set is not what the field is afterwards.
func TestValueLoadedBeforeItIsSet(t *testing.T) {
	number := func(typ uint16, n uint32) attr { return attr{typ, n} }
	data := func(typ uint16, b ...byte) attr { return attr{typ, []attr{{unix.NFTA_DATA_VALUE, b}}} }
	b := encode(
		expression("meta", number(unix.NFTA_META_KEY, unix.NFT_META_MARK), number(unix.NFTA_META_DREG, 1)),
		expression("immediate", number(unix.NFTA_IMMEDIATE_DREG, 2), data(unix.NFTA_IMMEDIATE_DATA, 5, 0, 0, 0)),
		expression("meta", number(unix.NFTA_META_KEY, unix.NFT_META_MARK), number(unix.NFTA_META_SREG, 2)),
		expression("cmp", number(unix.NFTA_CMP_SREG, 1), number(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ), data(unix.NFTA_CMP_DATA, 5, 0, 0, 0)),
	)
	var d statement.Decoder
	body, err := d.Decode(unix.NFPROTO_IPV4, &modelTable{}, b)
	if err != nil || len(body.Statements) != 2 {
		t.Fatalf("%v, %q", err, describeRule(body.Statements))
	}
	if _, ok := body.Statements[1].(*ruleset.Opaque); !ok {
		t.Errorf("%q", describeRule(body.Statements))
	}
}

// The { … } of a rule is a chain that the model has, too.
func TestRulesInBraces(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, "table ip t {\n chain c {\n type filter hook input priority 0;\n tcp dport 22 jump {\n ip saddr 192.0.2.1 accept\n drop\n }\n }\n}\n")
	c := ns.chain(t, "c")
	v, ok := c.Rules[0].Statements[len(c.Rules[0].Statements)-1].(*ruleset.Verdict)
	if !ok || v.Kind != ruleset.Jump || v.Target == nil || len(v.Target.Rules) != 2 || !slices.Contains(c.Table.Chains, v.Target) {
		t.Fatalf("%+v", v)
	}
	if got := describeRule(v.Target.Rules[1].Statements); !slices.Equal(got, []string{"drop"}) {
		t.Errorf("%q", got)
	}
}
