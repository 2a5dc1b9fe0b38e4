package tracer

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/droptrace/droptrace/bpf"
)

// tracepoint has so many arguments; hook is a number of so many bytes.
func core(arguments int, hook uint32) []btf.Type {
	proto := &btf.FuncProto{Return: &btf.Void{}, Params: make([]btf.FuncParam, arguments+1)}
	for i := range proto.Params {
		proto.Params[i].Type = word
	}
	return []btf.Type{
		&btf.Typedef{Name: "btf_trace_kfree_skb", Type: &btf.Pointer{Target: proto}},
		&btf.Struct{Name: "nf_hook_state", Size: 16, Members: []btf.Member{{Name: "hook", Type: &btf.Int{Name: "hook", Size: hook}}}},
		structOf("rhashtable", "tbl", "key_len"),
	}
}

// nfTables are the types of a kernel that keeps rules so; state is where struct
// nft_pktinfo has the hook's state.
func nfTables(rules []string, state string, more ...btf.Type) []btf.Type {
	return append([]btf.Type{
		structOf("nft_chain", append(rules, "rules", "list", "table", "handle", "name")...),
		structOf("nft_table", "list", "chains", "handle", "use", "name"),
		structOf("nft_expr_ops", "eval", "clone", "size"),
		structOf("nft_base_chain", "ops", "policy", "flags", "chain"),
		structOf("nft_pktinfo", "skb", state),
	}, more...)
}

// Kernels that cannot be booted here, as far as their sources are public: include/net/
// netfilter/nf_tables.h of 5.10, 5.15, 5.17 and 6.4, and what distributions took back
// from later ones.
func TestLayoutsOfDistributions(t *testing.T) {
	linked := []string{"rules_gen_0", "rules_gen_1"}
	blob := []string{"blob_gen_0", "blob_gen_1"}
	rules, last := structOf("nft_rule_blob", "size", "data"), structOf("nft_rule_dp_last", "end", "chain")
	for _, test := range []struct {
		name    string
		kernel  []btf.Type
		modules []btf.Type // nil: no BTF for modules
		want    bpf.KernelLayout
	}{
		{"Amazon 5.10, Bottlerocket 5.10: modules without BTF", core(2, 4), nil,
			bpf.KernelLayout{ChainTable: 64, PktinfoState: 32}},
		{"Android, COS 5.10: nf_tables built in", append(core(2, 4), nfTables(linked, "xt", xtTypes()...)...), nil,
			bpf.KernelLayout{ChainTable: 32, PktinfoState: 8 + 16}},
		{"Ubuntu 5.15, Azure 5.15, SLES 5.14", core(2, 1), append(nfTables(linked, "state"), xtTypes()...),
			bpf.KernelLayout{ChainTable: 32, PktinfoState: 8}},
		{"5.15 with reasons taken back from 5.17", core(3, 1), append(nfTables(linked, "state"), xtTypes()...),
			bpf.KernelLayout{ChainTable: 32, PktinfoState: 8}},
		{"RHEL 9: 5.14 with blobs and reasons", core(3, 1), append(nfTables(blob, "state", rules), xtTypes()...),
			bpf.KernelLayout{ChainTable: 32, PktinfoState: 8, RuleBlob: 1}},
		{"Ubuntu 6.8, SLES 6.4: blobs that end in their chain", core(3, 1), append(nfTables(blob, "state", rules, last), xtTypes()...),
			bpf.KernelLayout{ChainTable: 32, PktinfoState: 8, RuleBlob: 1, LastChain: 8}},
		{"Talos, hardened: no BTF for modules, and not 5.10", core(3, 1), nil, bpf.KernelLayout{}},
		{"RHEL 8: no BTF for modules, and like 5.10 else", append(core(2, 4), structOf("net_device", "name", "rh_reserved1")), nil,
			bpf.KernelLayout{}},
	} {
		d := described{kernel: specOf(t, test.kernel...)}
		if test.modules != nil {
			d.modules = map[string]*btf.Spec{"nf_tables": specOf(t, test.modules...)}
		}
		got, unknown := layoutOf(t, d)
		brief := bpf.KernelLayout{ChainTable: got.ChainTable, PktinfoState: got.PktinfoState, RuleBlob: got.RuleBlob, LastChain: got.LastChain}
		if brief != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, brief, test.want)
		}
		known := test.want != bpf.KernelLayout{}
		if known != (unknown.nft == nil) || !known && !errors.Is(unknown.nft, btf.ErrNotFound) {
			t.Errorf("%s: %v", test.name, unknown.nft)
		}
	}
}

// A member that a distribution renamed, or took away, is named; what does not need it
// goes on.
func TestARenamedMemberIsNamed(t *testing.T) {
	for name, s := range nftTypes() {
		if name == "nft_rule_blob" {
			continue
		}
		d := withNFT(t)
		var types []btf.Type
		for _, other := range nftTypes() {
			if other.Name != name {
				types = append(types, other)
			}
		}
		renamed := structOf(name, make([]string, len(s.Members))...)
		d.modules["nf_tables"] = specOf(t, append(types, renamed)...)
		got, unknown := layoutOf(t, d)
		if !errors.Is(unknown.nft, errNoMember) || got.ChainTable != 0 || unknown.xt != nil {
			t.Errorf("%s: %+v, %v", name, got, unknown)
		}
	}
}
