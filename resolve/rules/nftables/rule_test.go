package nftables

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDecodeRuleOutcome(t *testing.T) {
	target := func(name string) attr { return expression("target", attr{unix.NFTA_TARGET_NAME, name}) }
	match := func(name string) attr { return expression("match", attr{unix.NFTA_MATCH_NAME, name}) }
	ct := func(key, register uint16) attr {
		return expression("ct", attr{unix.NFTA_CT_KEY, uint32(key)}, attr{register, uint32(1)})
	}
	lookup := func(more ...attr) attr {
		return expression("lookup", append([]attr{{unix.NFTA_LOOKUP_SET, "s"}}, more...)...)
	}
	for _, test := range []struct {
		name string
		expr attr
		want string // what the rule can do, and where it leads
	}{
		{"accept", immediate(nfAccept), ""},
		{"drop", immediate(nfDrop), "drop"},
		{"drop with an errno", immediate(13<<16 | nfDrop), "drop"},
		{"queue verdict", immediate(5<<16 | nfQueue), "drop queue"},
		{"stolen", immediate(2), "drop"},
		{"continue", immediate(unix.NFT_CONTINUE), ""},
		{"return", immediate(unix.NFT_RETURN), ""},
		{"jump", immediate(unix.NFT_JUMP, "c"), "to c"},
		{"goto", immediate(unix.NFT_GOTO, "c"), "to c"},
		{"jump to a chain without a name", immediate(unix.NFT_JUMP), "to any"},
		{"verdict of a later kernel", immediate(-9), "drop"},
		{"verdict without a code", expression("immediate", attr{unix.NFTA_IMMEDIATE_DREG, uint32(0)}), "drop"},
		{"immediate of data", expression("immediate", attr{unix.NFTA_IMMEDIATE_DREG, uint32(1)}), ""},

		{"reject", expression("reject"), "drop reject"},
		{"queue", expression("queue"), "drop queue"},
		{"counter", expression("counter"), ""},
		{"fib", expression("fib"), ""},
		{"nat", expression("nat"), "drop"},
		{"synproxy", expression("synproxy"), "drop"},
		{"fwd", expression("fwd"), "drop"},
		{"connlimit", expression("connlimit"), "drop"},
		{"an expression of a later kernel", expression("quantum"), "drop"},
		{"an expression without a name", attr{unix.NFTA_LIST_ELEM, []attr{}}, "drop"},

		{"target REJECT", target("REJECT"), "drop reject"},
		{"target NFQUEUE", target("NFQUEUE"), "drop queue"},
		{"target LOG", target("LOG"), ""},
		{"target TCPMSS", target("TCPMSS"), "drop"},
		{"unknown target", target("WHATEVER"), "drop"},
		{"ebtables mark, which has a verdict", target("mark"), "drop"},
		{"match comment", match("comment"), ""},
		{"match u32, which may hotdrop", match("u32"), "drop"},
		{"match tcp, which may hotdrop", match("tcp"), "drop"},

		{"ct mark read", ct(unix.NFT_CT_MARK, unix.NFTA_CT_DREG), ""},
		{"ct mark written", ct(unix.NFT_CT_MARK, unix.NFTA_CT_SREG), ""},
		{"ct zone read", ct(unix.NFT_CT_ZONE, unix.NFTA_CT_DREG), ""},
		{"ct zone written", ct(unix.NFT_CT_ZONE, unix.NFTA_CT_SREG), "drop"},
		{"option read", expression("exthdr", attr{unix.NFTA_EXTHDR_DREG, uint32(1)}), ""},
		{"option stripped", expression("exthdr", attr{unix.NFTA_EXTHDR_TYPE, uint32(1)}), "drop"},

		{"membership", lookup(), "asks s"},
		{"map", lookup(attr{unix.NFTA_LOOKUP_DREG, uint32(1)}), "asks s"},
		{"verdict map", lookup(attr{unix.NFTA_LOOKUP_DREG, uint32(0)}), "maps s"},
		{"lookup in a set without a name", expression("lookup"), "drop"},
		{"update with a counter", expression("dynset", attr{unix.NFTA_DYNSET_SET_NAME, "s"},
			attr{unix.NFTA_DYNSET_EXPR, []attr{{unix.NFTA_EXPR_NAME, "counter"}}}), "updates s"},
		{"update with a connlimit", expression("dynset", attr{unix.NFTA_DYNSET_SET_NAME, "s"},
			attr{unix.NFTA_DYNSET_EXPR, []attr{{unix.NFTA_EXPR_NAME, "connlimit"}}}), "drop limits s"},
		{"update with several", expression("dynset", attr{unix.NFTA_DYNSET_SET_NAME, "s"},
			attr{10, []attr{expression("counter"), expression("connlimit")}}), "drop limits s"},
		{"counter object", expression("objref", attr{unix.NFTA_OBJREF_IMM_TYPE, uint32(unix.NFT_OBJECT_COUNTER)}), ""},
		{"connlimit object", expression("objref", attr{unix.NFTA_OBJREF_IMM_TYPE, uint32(unix.NFT_OBJECT_CONNLIMIT)}), "drop"},
		{"object map", expression("objref", attr{unix.NFTA_OBJREF_SET_NAME, "s"}), "objects s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m ruleMessage
			if err := decodeRule(unix.NFPROTO_IPV4, ruleBytes("t", "c", 7, test.expr), &m); err != nil {
				t.Fatal(err)
			}
			if got := m.String(); got != test.want {
				t.Errorf("outcome %q, want %q", got, test.want)
			}
			// What a message left must not reach the next.
			if err := decodeRule(unix.NFPROTO_IPV4, ruleBytes("t", "c", 8, expression("counter")), &m); err != nil {
				t.Fatal(err)
			}
			if got := m.String(); got != "" {
				t.Errorf("outcome of the next rule %q, want none", got)
			}
		})
	}
}

// String tells an outcome in words.
func (o *outcome) String() string {
	var words []string
	for _, f := range []struct {
		word string
		set  bool
	}{{"drop", o.canDrop}, {"reject", o.rejects}, {"queue", o.queues}, {"to any", o.anyTarget}} {
		if f.set {
			words = append(words, f.word)
		}
	}
	for _, target := range o.targets {
		words = append(words, "to "+string(target))
	}
	for _, ref := range o.refs {
		verb := map[refKind]string{refLookup: "asks", refVerdict: "maps", refUpdate: "updates", refLimit: "limits", refObject: "objects"}[ref.kind]
		words = append(words, verb+" "+string(ref.name))
	}
	return strings.Join(words, " ")
}

func TestDecodeRuleComment(t *testing.T) {
	nft := append([]byte{userdataComment, 6}, "hello\x00"...)
	info := make([]byte, 256)
	copy(info, "from xt")
	for name, b := range map[string][]byte{
		"hello": encode(attr{unix.NFTA_RULE_USERDATA, nft}),
		// Unknown TLVs before it, and one that is cut short behind.
		"hello ": encode(attr{unix.NFTA_RULE_USERDATA, bytes.Join([][]byte{{9, 1, 0}, nft, {1, 200, 0}}, nil)}),
		"":       encode(attr{unix.NFTA_RULE_USERDATA, []byte{userdataComment, 200, 'x'}}),
		"from xt": ruleBytes("t", "c", 1, expression("match",
			attr{unix.NFTA_MATCH_NAME, "comment"}, attr{unix.NFTA_MATCH_INFO, info})),
	} {
		var m ruleMessage
		if err := decodeRule(unix.NFPROTO_IPV4, b, &m); err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(name); string(m.comment) != want {
			t.Errorf("comment %q, want %q", m.comment, want)
		}
	}
}

func TestDecodeRuleMalformed(t *testing.T) {
	whole := ruleBytes("t", "c", 7, immediate(nfDrop))
	for name, b := range map[string][]byte{
		"cut short":        whole[:len(whole)-2],
		"trailing bytes":   append(bytes.Clone(whole), 1, 2),
		"length too small": {2, 0, 1, 0},
		"short handle":     encode(attr{unix.NFTA_RULE_HANDLE, []byte{1}}),
		"bad expression":   encode(attr{unix.NFTA_RULE_EXPRESSIONS, []byte{1}}),
		"bad verdict": ruleBytes("t", "c", 7, expression("immediate",
			attr{unix.NFTA_IMMEDIATE_DATA, []attr{{unix.NFTA_DATA_VERDICT, []byte{9, 9, 9}}}})),
	} {
		var m ruleMessage
		if err := decodeRule(unix.NFPROTO_IPV4, b, &m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzRule feeds the decoders of all objects: no panic, and what decodes twice
// decodes the same.
func FuzzRule(f *testing.F) {
	f.Add(ruleBytes("t", "c", 7, immediate(unix.NFT_JUMP, "d"), expression("reject"), expression("lookup", attr{unix.NFTA_LOOKUP_SET, "s"})))
	f.Add(elementBytes(verdictData(unix.NFTA_SET_ELEM_DATA, nfDrop), verdictData(unix.NFTA_SET_ELEM_DATA, unix.NFT_GOTO, "c")))
	f.Add(setBytes("t", "s", 3, attr{setExprs, []attr{expression("connlimit")}}))
	f.Add(baseBytes("t", "c", 1, 2, -5, 0))
	f.Add(tableBytes("t", 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var fresh, reused ruleMessage
		err := decodeRule(unix.NFPROTO_IPV4, b, &fresh)
		decodeRule(unix.NFPROTO_IPV4, ruleBytes("x", "y", 1, immediate(nfDrop)), &reused)
		if again := decodeRule(unix.NFPROTO_IPV4, b, &reused); (err == nil) != (again == nil) || fresh.String() != reused.String() {
			t.Errorf("decoded to %q (%v), then to %q (%v)", fresh.String(), err, reused.String(), again)
		}
		var o outcome
		if n, err := decodeElements(b, &o); err == nil && n > len(b)/4 {
			t.Errorf("%d elements in %d bytes", n, len(b))
		}
		decodeTable(b)
		decodeChain(b)
		decodeSet(b)
		decodeGeneration(b)
	})
}
