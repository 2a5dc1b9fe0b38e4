package tracer

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/droptrace/droptrace/bpf"
)

// described is a kernel that says only this of itself.
type described struct {
	kernel  *btf.Spec
	modules map[string]*btf.Spec
	failing map[string]error // reading these modules' types
}

func (d described) Kernel() (*btf.Spec, error) { return d.kernel, nil }

func (d described) Module(name string) (*btf.Spec, error) {
	if err := d.failing[name]; err != nil {
		return nil, err
	}
	if spec, ok := d.modules[name]; ok {
		return spec, nil
	}
	return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
}

func specOf(t testing.TB, types ...btf.Type) *btf.Spec {
	t.Helper()
	b, err := btf.NewBuilder(append([]btf.Type{word}, types...), nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

var word = &btf.Int{Name: "long unsigned int", Size: 8}

// members are of 8 bytes each, in this order; a name of _ is there to take room.
func structOf(name string, members ...string) *btf.Struct {
	s := &btf.Struct{Name: name, Size: uint32(8 * len(members))}
	for i, m := range members {
		s.Members = append(s.Members, btf.Member{Name: m, Type: word, Offset: btf.Bits(64 * i)})
	}
	return s
}

// another has the same members, of which the first points elsewhere: what pahole
// leaves of a type that it did not recognise in two files of a module.
func another(s *btf.Struct, number int) *btf.Struct {
	c := *s
	c.Members = append([]btf.Member(nil), s.Members...)
	c.Members[0].Type = &btf.Pointer{Target: &btf.Int{Name: fmt.Sprintf("other%d", number), Size: 4}}
	return &c
}

// nftTypes are those of a kernel since 6.4; each name stands for its members.
func nftTypes() map[string]*btf.Struct {
	types := make(map[string]*btf.Struct)
	for _, s := range []*btf.Struct{
		structOf("nft_rule_blob", "size", "data"),
		structOf("nft_rule_dp_last", "end", "chain"),
		structOf("nft_chain", "blob_gen_0", "blob_gen_1", "rules", "list", "table", "handle", "name"),
		structOf("nft_table", "list", "chains", "handle", "use", "name"),
		structOf("nft_expr_ops", "eval", "clone", "size"),
		structOf("nft_pktinfo", "skb", "state"),
		structOf("nft_base_chain", "ops", "policy", "flags", "chain"),
	} {
		types[s.Name] = s
	}
	return types
}

func xtTypes() []btf.Type {
	return []btf.Type{
		structOf("xt_table", "list", "private", "af", "name"),
		structOf("xt_action_param", "target", "targinfo", "state"),
	}
}

// traced has what every kernel has.
func traced(t testing.TB) *btf.Spec {
	proto := &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{
		{Type: word}, {Type: word}, {Type: word}, {Type: word}}}
	return specOf(t, &btf.Typedef{Name: "btf_trace_kfree_skb", Type: &btf.Pointer{Target: proto}})
}

func layoutOf(t *testing.T, d types) (bpf.KernelLayout, unknownLayouts) {
	t.Helper()
	l, err := newLayouts(d)
	if err != nil {
		t.Fatal(err)
	}
	return kernelLayout(l)
}

func withNFT(t *testing.T, more ...btf.Type) described {
	list := append([]btf.Type(nil), more...)
	for _, s := range nftTypes() {
		list = append(list, s)
	}
	return described{kernel: traced(t), modules: map[string]*btf.Spec{
		"nf_tables": specOf(t, list...), "x_tables": specOf(t, xtTypes()...)}}
}

// As Debian's 6.16 to 6.18 have them.
func TestTypesThatAModuleHoldsSeveralTimesAreRead(t *testing.T) {
	once, unknown := layoutOf(t, withNFT(t))
	if unknown.nft != nil || unknown.xt != nil {
		t.Fatal(unknown)
	}
	for name, s := range nftTypes() {
		for times := 2; times <= 3; times++ {
			var more []btf.Type
			for i := 1; i < times; i++ {
				more = append(more, another(s, i))
			}
			got, unknown := layoutOf(t, withNFT(t, more...))
			if unknown.nft != nil || got != once {
				t.Errorf("%s %d times: %+v, %v; want %+v", name, times, got, unknown.nft, once)
			}
		}
	}
}

// The one that is read must be named, and nothing of a half-known layout is used.
func TestTypesWhoseDefinitionsDifferAreNotRead(t *testing.T) {
	once, _ := layoutOf(t, withNFT(t))
	for name, s := range nftTypes() {
		if name == "nft_rule_blob" { // of which no member is read
			continue
		}
		moved := structOf(name, append([]string{"_"}, names(s)...)...)
		got, unknown := layoutOf(t, withNFT(t, moved))
		if !errors.Is(unknown.nft, errDefinitionsDiffer) || !strings.Contains(fmt.Sprint(unknown.nft), name) {
			t.Errorf("%s: got %v", name, unknown.nft)
		}
		if got.ChainTable != 0 || got.ChainPolicy != 0 || got.PktinfoState != 0 {
			t.Errorf("%s: half a layout: %+v", name, got)
		}
		if unknown.xt != nil || got.XtName != once.XtName {
			t.Errorf("%s: it took x_tables with it: %v", name, unknown.xt)
		}
	}
	// What is not read may differ.
	behind := structOf("nft_pktinfo", append(names(nftTypes()["nft_pktinfo"]), "more")...)
	if got, unknown := layoutOf(t, withNFT(t, behind)); unknown.nft != nil || got != once {
		t.Errorf("a member that nobody reads counts: %v", unknown.nft)
	}
}

func names(s *btf.Struct) []string {
	var out []string
	for _, m := range s.Members {
		out = append(out, m.Name)
	}
	return out
}

func TestADeclarationIsNoDefinition(t *testing.T) {
	d := withNFT(t, &btf.Fwd{Name: "nft_chain"}, &btf.Struct{Name: "nft_table"})
	if _, unknown := layoutOf(t, d); unknown.nft != nil {
		t.Error(unknown.nft)
	}
}

// Not found is not: could not be read.
func TestTypesThatCannotBeReadAreNotTakenForMissing(t *testing.T) {
	broken := errors.New("input/output error")
	d := withNFT(t)
	d.failing = map[string]error{"nf_tables": broken}
	_, unknown := layoutOf(t, d)
	if !errors.Is(unknown.nft, broken) || errors.Is(unknown.nft, btf.ErrNotFound) {
		t.Errorf("got %v", unknown.nft)
	}
	if unknown.xt != nil {
		t.Errorf("x_tables: %v", unknown.xt)
	}
}

// A kernel of today without BTF for modules has not 5.10's offsets.
func TestOnly510IsTakenFor510(t *testing.T) {
	_, unknown := layoutOf(t, described{kernel: traced(t)})
	if !errors.Is(unknown.nft, btf.ErrNotFound) || !errors.Is(unknown.xt, btf.ErrNotFound) {
		t.Errorf("got %v", unknown)
	}
	old := func(hook btf.Type, arguments int) *btf.Spec {
		proto := &btf.FuncProto{Return: &btf.Void{}, Params: make([]btf.FuncParam, arguments+1)}
		for i := range proto.Params {
			proto.Params[i].Type = word
		}
		return specOf(t, &btf.Typedef{Name: "btf_trace_kfree_skb", Type: &btf.Pointer{Target: proto}},
			&btf.Struct{Name: "nf_hook_state", Size: 16, Members: []btf.Member{{Name: "hook", Type: hook}}},
			structOf("rhashtable", "tbl", "key_len"))
	}
	wide, narrow := &btf.Int{Name: "unsigned int", Size: 4}, &btf.Int{Name: "unsigned char", Size: 1}
	got, unknown := layoutOf(t, described{kernel: old(wide, 2)})
	if unknown.nft != nil || unknown.xt != nil || got.ChainTable != 64 || got.TableChains != 32 || got.XtName != 56 {
		t.Errorf("5.10: %+v, %v", got, unknown)
	}
	for _, later := range []*btf.Spec{old(narrow, 2), old(wide, 3)} {
		if _, unknown := layoutOf(t, described{kernel: later}); unknown.nft == nil || unknown.xt == nil {
			t.Error("a later kernel was taken for 5.10")
		}
	}
}
