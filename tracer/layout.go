package tracer

import (
	"errors"
	"fmt"
	"math"

	"github.com/cilium/ebpf/btf"

	"github.com/droptrace/droptrace/bpf"
)

// errNoMember says that a kernel type lacks a member.
var errNoMember = errors.New("no such member")

// findMember looks through anonymous structs and unions too, as C does.
func findMember(members []btf.Member, name string) (uint32, bool) {
	for _, m := range members {
		if m.Name == name {
			return m.Offset.Bytes(), true
		}
		if m.Name != "" {
			continue
		}
		if inner := compositeMembers(m.Type); inner != nil {
			if at, ok := findMember(inner, name); ok {
				return m.Offset.Bytes() + at, true
			}
		}
	}
	return 0, false
}

func compositeMembers(t btf.Type) []btf.Member {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return t.Members
	case *btf.Union:
		return t.Members
	}
	return nil
}

// fill stores one offset; the first error is kept.
type fill struct {
	l   *layouts
	err error
}

func (f *fill) offset(dst *uint16, typeName, member string) {
	at, err := f.l.offset(typeName, member)
	if err == nil && at > math.MaxUint16 {
		err = fmt.Errorf("type %s: member %s: offset %d too large", typeName, member, at)
	}
	if err != nil {
		f.err = errors.Join(f.err, err)
		return
	}
	*dst = uint16(at)
}

// unknownLayouts say why offsets of module types are not known; nil where they are.
type unknownLayouts struct{ nft, xt error }

// kernelLayout returns the offsets that the kernel side needs of module types: from the
// kernel's BTF or, on 5.10 whose modules have none, as its source says. What is not
// known is zero.
func kernelLayout(l *layouts) (bpf.KernelLayout, unknownLayouts) {
	var out bpf.KernelLayout
	old := isOld(l)
	missing := unknownLayouts{nft: nftLayout(l, &out, old), xt: xtLayout(l, &out, old)}
	if missing.nft != nil {
		missing.nft = fmt.Errorf("how nf_tables lays out its rules is not known: %w", missing.nft)
	}
	if missing.xt != nil {
		missing.xt = fmt.Errorf("how x_tables lays out its tables is not known: %w", missing.xt)
	}
	return out, missing
}

// isOld recognises 5.10 by what later kernels changed: two arguments of the tracepoint
// (5.17), and the type of nf_hook_state.hook (u8 since 5.13). A later kernel that has no
// BTF for modules must not be taken for it, nor Red Hat's 4.18, whose netfilter is of
// other versions: its structs end in room for more (RH_KABI_RESERVE).
func isOld(l *layouts) bool {
	if _, err := l.offset("net_device", "rh_reserved1"); err == nil {
		return false
	}
	arguments, err := tracepointArguments(l.specs[0])
	if err != nil || arguments != 2 || len(l.specs) > 1 {
		return false
	}
	states, err := l.structs("nf_hook_state")
	if err != nil {
		return false
	}
	for _, m := range states[0].Members {
		if m.Name == "hook" {
			size, err := btf.Sizeof(m.Type)
			return err == nil && size == 4
		}
	}
	return false
}

// nftLayout knows two ways to keep rules: in a blob (5.17), and linked.
func nftLayout(l *layouts, out *bpf.KernelLayout, old bool) error {
	found := *out
	blob, err1 := l.has("nft_rule_blob")
	chain, err2 := l.has("nft_chain")
	err := errors.Join(err1, err2)
	switch {
	case err != nil:
	case blob:
		err = blobLayout(l, &found)
	case chain:
		err = linkedLayout(l, &found)
	case old:
		err = oldNFTLayout(l, &found)
	default:
		err = fmt.Errorf("type nft_chain: %w", btf.ErrNotFound)
	}
	if err == nil {
		*out = found
	}
	return err
}

func blobLayout(l *layouts, out *bpf.KernelLayout) error {
	f := fill{l: l}
	f.offset(&out.ChainBlob[0], "nft_chain", "blob_gen_0")
	f.offset(&out.ChainBlob[1], "nft_chain", "blob_gen_1")
	out.RuleBlob = 1
	at, err := l.offset("nft_rule_dp_last", "chain")
	switch {
	case err == nil:
		out.LastChain = uint16(at)
	case !errors.Is(err, btf.ErrNotFound): // before 6.4 there is no such type
		f.err = err
	}
	f.nft(out)
	return f.err
}

func linkedLayout(l *layouts, out *bpf.KernelLayout) error {
	f := fill{l: l}
	f.offset(&out.ChainBlob[0], "nft_chain", "rules_gen_0")
	f.offset(&out.ChainBlob[1], "nft_chain", "rules_gen_1")
	f.nft(out)
	return f.err
}

// nft fills in what both ways have.
func (f *fill) nft(out *bpf.KernelLayout) {
	f.offset(&out.ChainRules, "nft_chain", "rules")
	f.offset(&out.ChainList, "nft_chain", "list")
	f.offset(&out.ChainTable, "nft_chain", "table")
	f.offset(&out.ChainHandle, "nft_chain", "handle")
	f.offset(&out.ChainName, "nft_chain", "name")
	f.offset(&out.TableChains, "nft_table", "chains")
	f.offset(&out.TableHandle, "nft_table", "handle")
	f.offset(&out.TableName, "nft_table", "name")
	f.offset(&out.OpsSize, "nft_expr_ops", "size")
	// u16 family:6 follows u32 use
	f.offset(&out.TableFamily, "nft_table", "use")
	out.TableFamily += 4
	var policy, chain uint16
	f.offset(&policy, "nft_base_chain", "policy")
	f.offset(&chain, "nft_base_chain", "chain")
	out.ChainPolicy = int16(policy) - int16(chain)
	f.pktinfo(out)
}

// pktinfo finds the packet's hook state, which lay in a part of its own before 5.14.
func (f *fill) pktinfo(out *bpf.KernelLayout) {
	if _, err := f.l.offset("nft_pktinfo", "state"); !errors.Is(err, errNoMember) {
		f.offset(&out.PktinfoState, "nft_pktinfo", "state")
		return
	}
	var part, state uint16
	f.offset(&part, "nft_pktinfo", "xt")
	f.offset(&state, "xt_action_param", "state")
	out.PktinfoState = part + state
}

// xtLayout looks for each type by itself: 5.10 has some in the kernel's own BTF. Its
// offsets are those of include/linux/netfilter/x_tables.h.
func xtLayout(l *layouts, out *bpf.KernelLayout, old bool) error {
	found := *out
	f := fill{l: l}
	if f.described("xt_table", old) {
		f.offset(&found.XtPrivate, "xt_table", "private")
		f.offset(&found.XtAf, "xt_table", "af")
		f.offset(&found.XtName, "xt_table", "name")
	} else {
		found.XtPrivate, found.XtAf, found.XtName = 24, 40, 56
	}
	if f.described("xt_action_param", old) {
		f.offset(&found.Targinfo, "xt_action_param", "targinfo")
		f.offset(&found.ParamState, "xt_action_param", "state")
	} else {
		found.Targinfo, found.ParamState = 8, 16
	}
	var err error
	if found.NetTables, err = oldNetTables(l); err != nil {
		f.err = errors.Join(f.err, err)
	}
	if f.err == nil {
		*out = found
	}
	return f.err
}

// described reports whether a type is in BTF; without it only 5.10's is known.
func (f *fill) described(typeName string, old bool) bool {
	has, err := f.l.has(typeName)
	if err == nil && !has && !old {
		err = fmt.Errorf("type %s: %w", typeName, btf.ErrNotFound)
	}
	f.err = errors.Join(f.err, err)
	return has
}

// oldNFTLayout is 5.10's, read from its source (include/net/netfilter/nf_tables.h).
func oldNFTLayout(l *layouts, out *bpf.KernelLayout) error {
	out.ChainBlob = [2]uint16{0, 8} // rules_gen_0, rules_gen_1
	out.ChainRules = 16
	out.ChainList = 32
	out.ChainTable = 64
	out.ChainHandle = 72
	out.ChainName = 88
	out.ChainPolicy = -16
	out.OpsSize = 16
	out.PktinfoState = 32 // skb, tprot_set, tprot, then xt_action_param.state
	// struct nft_table: list, chains_ht, four lists, hgenerator, handle, use,
	// family:6 flags:8 genmask:2, name
	size, err := l.size("rhashtable")
	if err != nil {
		return err
	}
	at := uint16(16 + size)
	out.TableChains = at
	out.TableHandle = at + 4*16 + 8
	out.TableFamily = out.TableHandle + 8 + 4
	out.TableName = out.TableHandle + 8 + 8
	return nil
}

// oldNetTables finds where struct net of 5.10 points to its x_tables tables,
// numbered as in hookFunctions.
func oldNetTables(l *layouts) (out [2][8]uint16, err error) {
	inner := [2]string{"netns_ipv4", "netns_ipv6"}
	outer := [2]string{"ipv4", "ipv6"}
	names := [2][]string{
		{"iptable_filter", "iptable_mangle", "iptable_raw", "iptable_security", "nat_table"},
		{"ip6table_filter", "ip6table_mangle", "ip6table_raw", "ip6table_security", "ip6table_nat"},
	}
	l = &layouts{specs: l.specs[:1]}
	for family := range out {
		for i, name := range names[family] {
			at, e := l.offset(inner[family], name)
			if isMissing(e) { // later kernels', or one built without that table
				continue
			}
			base, e2 := l.offset("net", outer[family])
			err = errors.Join(err, e, e2)
			out[family][i+1] = uint16(base + at)
		}
	}
	return out, err
}

// isMissing reports whether an error says that the kernel has no such type or member,
// and nothing else.
func isMissing(err error) bool {
	return errors.Is(err, btf.ErrNotFound) || errors.Is(err, errNoMember)
}
