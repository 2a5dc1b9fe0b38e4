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

// layouts finds offsets of types in a kernel's BTF and in that of its modules.
type layouts struct {
	specs []*btf.Spec
}

// newLayouts collects the BTF of the kernel and of the named modules; a module
// that is built in, not loaded, or older than module BTF (5.11) adds nothing.
func newLayouts(types *btf.Cache, modules ...string) (*layouts, error) {
	kernel, err := types.Kernel()
	if err != nil {
		return nil, fmt.Errorf("read kernel types: %w", err)
	}
	l := &layouts{specs: []*btf.Spec{kernel}}
	for _, m := range modules {
		if spec, err := types.Module(m); err == nil {
			l.specs = append(l.specs, spec)
		}
	}
	return l, nil
}

func (l *layouts) structType(name string) (*btf.Struct, error) {
	err := btf.ErrNotFound
	for _, spec := range l.specs {
		var t *btf.Struct
		if err = spec.TypeByName(name, &t); err == nil && len(t.Members) > 0 {
			return t, nil
		}
	}
	return nil, fmt.Errorf("type %s: %w", name, err)
}

// offset returns where a member lies, in bytes; bit fields count from the byte
// they begin in.
func (l *layouts) offset(typeName, member string) (uint32, error) {
	t, err := l.structType(typeName)
	if err != nil {
		return 0, err
	}
	at, ok := findMember(t.Members, member)
	if !ok {
		return 0, fmt.Errorf("type %s: member %s: %w", typeName, member, errNoMember)
	}
	return at, nil
}

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

// kernelLayout returns the offsets that the kernel side needs of module types.
// Without module BTF they are those of 5.10, the only kernels that have BTF but
// none for modules.
func kernelLayout(l *layouts) (bpf.KernelLayout, error) {
	out := oldLayout(l)
	err := errors.Join(nftLayout(l, &out), xtLayout(l, &out))
	return out, err
}

// nftLayout replaces 5.10's offsets where nf_tables' BTF is at hand.
func nftLayout(l *layouts, out *bpf.KernelLayout) error {
	if _, err := l.structType("nft_rule_blob"); err != nil {
		return nil
	}
	f := fill{l: l}
	f.offset(&out.ChainBlob[0], "nft_chain", "blob_gen_0")
	f.offset(&out.ChainBlob[1], "nft_chain", "blob_gen_1")
	f.offset(&out.ChainRules, "nft_chain", "rules")
	f.offset(&out.ChainList, "nft_chain", "list")
	f.offset(&out.ChainTable, "nft_chain", "table")
	f.offset(&out.ChainHandle, "nft_chain", "handle")
	f.offset(&out.ChainName, "nft_chain", "name")
	f.offset(&out.TableChains, "nft_table", "chains")
	f.offset(&out.TableHandle, "nft_table", "handle")
	f.offset(&out.TableName, "nft_table", "name")
	f.offset(&out.OpsSize, "nft_expr_ops", "size")
	f.offset(&out.PktinfoState, "nft_pktinfo", "state")
	// u16 family:6 follows u32 use
	f.offset(&out.TableFamily, "nft_table", "use")
	out.TableFamily += 4
	var policy, chain uint16
	f.offset(&policy, "nft_base_chain", "policy")
	f.offset(&chain, "nft_base_chain", "chain")
	out.ChainPolicy = int16(policy) - int16(chain)
	out.RuleBlob = 1
	out.LastChain = 0
	if at, err := l.offset("nft_rule_dp_last", "chain"); err == nil {
		out.LastChain = uint16(at)
	}
	return f.err
}

// xtLayout does the same for x_tables. Each type for itself: 5.10 has some of
// them in the kernel's own BTF.
func xtLayout(l *layouts, out *bpf.KernelLayout) error {
	f := fill{l: l}
	if _, err := l.structType("xt_table"); err == nil {
		f.offset(&out.XtPrivate, "xt_table", "private")
		f.offset(&out.XtAf, "xt_table", "af")
		f.offset(&out.XtName, "xt_table", "name")
	}
	if _, err := l.structType("xt_action_param"); err == nil {
		f.offset(&out.Targinfo, "xt_action_param", "targinfo")
		f.offset(&out.ParamState, "xt_action_param", "state")
	}
	return f.err
}

// oldLayout is 5.10's, read from its source (include/net/netfilter/nf_tables.h,
// include/linux/netfilter/x_tables.h).
func oldLayout(l *layouts) bpf.KernelLayout {
	out := bpf.KernelLayout{
		ChainBlob:    [2]uint16{0, 8}, // rules_gen_0, rules_gen_1
		ChainRules:   16,
		ChainList:    32,
		ChainTable:   64,
		ChainHandle:  72,
		ChainName:    88,
		ChainPolicy:  -16,
		OpsSize:      16,
		PktinfoState: 32, // skb, tprot_set, tprot, then xt_action_param.state
		XtPrivate:    24,
		XtAf:         40,
		XtName:       56,
		Targinfo:     8,
		ParamState:   16,
	}
	// struct nft_table: list, chains_ht, four lists, hgenerator, handle, use,
	// family:6 flags:8 genmask:2, name
	if t, err := l.structType("rhashtable"); err == nil {
		at := uint16(16 + t.Size)
		out.TableChains = at
		out.TableHandle = at + 4*16 + 8
		out.TableFamily = out.TableHandle + 8 + 4
		out.TableName = out.TableHandle + 8 + 8
	}
	out.NetTables = oldNetTables(l)
	return out
}

// oldNetTables finds where struct net of 5.10 points to its x_tables tables,
// numbered as in hookFunctions.
func oldNetTables(l *layouts) (out [2][8]uint16) {
	inner := [2]string{"netns_ipv4", "netns_ipv6"}
	outer := [2]string{"ipv4", "ipv6"}
	names := [2][]string{
		{"iptable_filter", "iptable_mangle", "iptable_raw", "iptable_security", "nat_table"},
		{"ip6table_filter", "ip6table_mangle", "ip6table_raw", "ip6table_security", "ip6table_nat"},
	}
	for family := range out {
		base, err := l.offset("net", outer[family])
		if err != nil {
			continue
		}
		for i, name := range names[family] {
			if at, err := l.offset(inner[family], name); err == nil {
				out[family][i+1] = uint16(base + at)
			}
		}
	}
	return out
}
