package tracer

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/droptrace/droptrace/bpf"
)

// runningKernel describes itself, but for what of NAT may be a module's; modules are
// the test's.
func runningKernel(t testing.TB, modules map[string]*btf.Spec) described {
	t.Helper()
	return described{kernel: without(t, "nf_conn_nat"), modules: modules}
}

func relocated(t testing.TB, d types) (map[string]*ebpf.ProgramSpec, error) {
	t.Helper()
	coll, err := bpf.LoadKernel()
	if err != nil {
		t.Fatal(err)
	}
	some := only(coll, "kfree_skb", "fexit_clash", "kprobe_request").Programs
	doubt, err := relocate(some, d)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range some {
		for i := range p.Instructions {
			if btf.CORERelocationMetadata(&p.Instructions[i]) != nil {
				t.Fatalf("%s: instruction %d is still to be relocated", name, i)
			}
		}
	}
	return some, doubt
}

func code(programs map[string]*ebpf.ProgramSpec) map[string]string {
	out := make(map[string]string)
	for name, p := range programs {
		var b strings.Builder
		for _, ins := range p.Instructions {
			fmt.Fprintln(&b, ins.OpCode, ins.Dst, ins.Src, ins.Offset, ins.Constant)
		}
		out[name] = b.String()
	}
	return out
}

// Against the library's own way, which is right where no name is there twice.
func TestRelocationsAreTheLibrarys(t *testing.T) {
	d := runningKernel(t, nil)
	ours, doubt := relocated(t, d)
	if doubt != nil {
		t.Error(doubt)
	}
	coll, err := bpf.LoadKernel()
	if err != nil {
		t.Fatal(err)
	}
	for name := range ours {
		p := coll.Programs[name]
		var entries []*btf.CORERelocation
		var at []*asm.Instruction
		for i := range p.Instructions {
			if e := btf.CORERelocationMetadata(&p.Instructions[i]); e != nil {
				entries, at = append(entries, e), append(at, &p.Instructions[i])
			}
		}
		fixups, err := btf.CORERelocate(entries, []*btf.Spec{d.kernel}, p.ByteOrder, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range fixups {
			if err := fixups[i].Apply(at[i]); err != nil {
				t.Fatal(err)
			}
		}
		if code(ours)[name] != code(coll.Programs)[name] {
			t.Errorf("%s: other instructions", name)
		}
	}
}

func TestAModulesOwnStructOfACommonNameIsNotTheKernels(t *testing.T) {
	plain, _ := relocated(t, runningKernel(t, nil))
	foreign := specOf(t, structOf("sk_buff", "_", "_", "dev", "len", "head", "data", "mark"), structOf("net", "nf"))
	got, doubt := relocated(t, runningKernel(t, map[string]*btf.Spec{"nf_conntrack": foreign}))
	if doubt != nil {
		t.Error(doubt)
	}
	if g, want := code(got), code(plain); g["kfree_skb"] != want["kfree_skb"] {
		t.Error("the module's struct sk_buff was taken")
	}
}

// masqOffset is what the programs read nf_conn_nat.masq_index at; absent, they go by
// a number of their own.
func masqOffset(programs map[string]*ebpf.ProgramSpec, offset int64) (found bool) {
	for _, ins := range programs["kfree_skb"].Instructions {
		found = found || ins.OpCode.Class().IsALU() && ins.OpCode.ALUOp() == asm.Mov && ins.Constant == offset
	}
	return found
}

func TestTypesOfAModuleAreFoundWhereTheyAgree(t *testing.T) {
	nat := structOf("nf_conn_nat", strings.Split(strings.Repeat("_,", 401)+"masq_index", ",")...)
	const offset = 401 * 8
	for _, types := range [][]btf.Type{{nat}, {nat, another(nat, 1)}, {nat, another(nat, 1), another(nat, 2)}} {
		got, doubt := relocated(t, runningKernel(t, map[string]*btf.Spec{"nf_nat": specOf(t, types...)}))
		if doubt != nil || !masqOffset(got, offset) {
			t.Errorf("%d definitions: %v", len(types), doubt)
		}
	}
	other := structOf("nf_conn_nat", "masq_index")
	got, doubt := relocated(t, runningKernel(t, map[string]*btf.Spec{"nf_nat": specOf(t, nat, other)}))
	if doubt == nil || !strings.Contains(doubt.Error(), "nf_conn_nat") || masqOffset(got, offset) {
		t.Errorf("definitions that differ: %v", doubt)
	}
	// The module that comes first owns it.
	got, doubt = relocated(t, runningKernel(t, map[string]*btf.Spec{
		"nf_conntrack": specOf(t, nat), "nf_nat": specOf(t, other)}))
	if doubt != nil || !masqOffset(got, offset) {
		t.Errorf("two modules: %v", doubt)
	}
}

func TestModuleTypesThatCannotBeReadAreTold(t *testing.T) {
	broken := errors.New("input/output error")
	d := runningKernel(t, nil)
	d.failing = map[string]error{"nf_nat": broken}
	if _, doubt := relocated(t, d); !errors.Is(doubt, broken) {
		t.Errorf("got %v", doubt)
	}
}
