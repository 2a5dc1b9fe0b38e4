package tracer

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/bpf"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/test/nstest"
	"github.com/droptrace/droptrace/tracer/calibrate"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter"
)

// everyPart lists what the programs and the loader name, whatever that is by now.
func everyPart(t *testing.T) []part {
	coll, err := bpf.LoadKernel()
	if err != nil {
		t.Fatal(err)
	}
	out := []part{{}, {kind: "modules' types"}, {kind: "room", name: "for functions"},
		{kind: "attribution"}, {kind: "attaching", name: "fentry"}, {kind: "attaching", name: "kprobe"},
		{kind: "symbol", name: "every"}, {kind: "symbol", name: "(text)"}, {kind: "symbol", name: "(modules)"}}
	add := func(kind string, names []string) {
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			out = append(out, part{kind: kind, name: name})
		}
	}
	add("map", slices.Collect(maps.Keys(coll.Maps)))
	add("program", slices.Collect(maps.Keys(coll.Programs)))
	add("symbol", everySymbol())
	types, members := everyType(t, coll)
	add("type", types)
	add("member", members)
	helpers := make(map[asm.BuiltinFunc]bool)
	for _, p := range coll.Programs {
		for _, ins := range p.Instructions {
			if ins.IsBuiltinCall() {
				helpers[asm.BuiltinFunc(ins.Constant)] = true
			}
		}
	}
	for _, f := range slices.Sorted(maps.Keys(helpers)) {
		out = append(out, part{kind: "helper", name: f.String(), helper: f})
	}
	return out
}

func everySymbol() (out []string) {
	for _, f := range siteFunctions() {
		out = append(out, f.name)
	}
	out = slices.AppendSeq(out, maps.Keys(hookFunctions()))
	for _, p := range probes() {
		out = append(out, p.function)
	}
	for _, p := range ctProbes() {
		out = append(out, p.function)
	}
	return append(out, "tcp_conn_request")
}

func everyType(t *testing.T, coll *ebpf.CollectionSpec) (types, members []string) {
	wanted, err := relocationsByType(coll.Programs)
	if err != nil {
		t.Fatal(err)
	}
	for local := range wanted {
		name, _, _ := strings.Cut(local, "___")
		types = append(types, name)
		found, err := coll.Types.AnyTypesByName(local)
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range found {
			if s, ok := typ.(*btf.Struct); ok {
				for _, m := range s.Members {
					members = append(members, name+"."+m.Name)
				}
			}
		}
	}
	return types, members
}

// essential reports whether nothing can be told without the part: then one line must
// say so.
func (p part) essential() bool {
	switch p.kind {
	case "map":
		return slices.Contains(essentialMaps(), p.name)
	case "type":
		return p.name == "sk_buff"
	case "helper":
		_, can := dispensable()[p.helper]
		return !can && p.helper != asm.FnLoop
	}
	return false
}

// blind reports whether a packet's port cannot be found without the part.
func (p part) blind() bool {
	return p.kind == "type" && p.name == "sk_buff" ||
		p.kind == "member" && slices.Contains([]string{"sk_buff.head", "sk_buff.tail", "sk_buff.data"}, p.name)
}

const droppedPort = 4242

// dropping makes a namespace that drops what is sent to droppedPort.
func dropping(t *testing.T) *calibrate.Namespace {
	n, err := calibrate.NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	err = n.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "parts"})
		chain := c.AddChain(&nftables.Chain{Name: "out", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{droppedPort >> 8, droppedPort & 0xff}},
			&expr.Verdict{Kind: expr.VerdictDrop}}})
		return c.Flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func sendTo(n *calibrate.Namespace, port int) error {
	return n.Do(func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		err = unix.Sendto(s, []byte("parts"), 0, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		if !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("it was not dropped: %v", err)
		}
		return nil
	})
}

// Whatever a kernel lacks, a drop is told with what is left, and a line says what it is
// told without.
func TestWithoutAPart(t *testing.T) {
	nstest.SkipUnprivileged(t)
	f, err := filter.Parse(filter.Spec{Port: []string{fmt.Sprint(droppedPort)}})
	if err != nil {
		t.Fatal(err)
	}
	wanted, _ := f.Kernel()
	table, err := symbol.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	n := dropping(t)
	cache := btf.NewCache()
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	whole := &asked{parts: make(map[part]bool)}
	legacy := legacyParts(t)
	same := 0
	for i, p := range everyPart(t) {
		if i > 0 && !p.matters(kernel, whole) {
			same++
			continue
		}
		t.Run(p.String(), func(t *testing.T) {
			m := lessMachine{without: p, legacy: legacy(p), asked: whole}
			if i > 0 {
				m.asked = &asked{parts: make(map[part]bool)}
			}
			if p.kind == "type" || p.kind == "member" {
				m.kernel = without(t, p.name)
			}
			tr, err := Open(t.Context(), Options{BTF: cache, Symbols: lessSymbols{table.Table(), p, m.asked}, Filter: wanted,
				Plan: Plan(os.Getenv("DROPTRACE_PROBES")), BufferSize: 1 << 20, machine: m})
			if err != nil {
				if !p.essential() || strings.Contains(err.Error(), "\n") {
					t.Fatal(err)
				}
				t.Log(err)
				return
			}
			defer tr.Close()
			checkDrop(t, tr, n, p)
		})
	}
	t.Logf("%d more parts are not there or not asked for: without them a start is the whole machine's", same)
}

// matters reports whether a start without the part can differ from that of the whole
// machine: whether that asked for a program or symbol, and the kernel has the type.
func (p part) matters(kernel *btf.Spec, whole *asked) bool {
	if len(whole.parts) == 0 {
		return true // -run leaves out the whole machine
	}
	switch p.kind {
	case "program":
		return whole.parts[p]
	case "symbol":
		return whole.parts[p] || slices.Contains([]string{"every", "(text)", "(modules)"}, p.name)
	case "type", "member":
		return kernelHas(kernel, p.name)
	}
	return true
}

// kernelHas reports whether the kernel itself, not a module, describes a type, or with
// net.ct a member.
func kernelHas(kernel *btf.Spec, name string) bool {
	typeName, member, _ := strings.Cut(name, ".")
	found, err := kernel.AnyTypesByName(typeName)
	if errors.Is(err, btf.ErrNotFound) {
		return false
	}
	if err != nil || member == "" {
		return true
	}
	return slices.ContainsFunc(found, func(typ btf.Type) bool {
		switch typ := typ.(type) {
		case *btf.Struct:
			return hasMember(typ.Members, member)
		case *btf.Union:
			return hasMember(typ.Members, member)
		}
		return true // an enum, or a name for one: not looked into
	})
}

func hasMember(members []btf.Member, name string) bool {
	return slices.ContainsFunc(members, func(m btf.Member) bool { return m.Name == name })
}

// legacyParts tells of a part whether the programs for iptables-legacy may load
// otherwise without it. They take the verifier half of a start.
func legacyParts(t *testing.T) func(part) bool {
	coll, err := bpf.LoadKernel()
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(coll.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return !isLegacyProgram(name) })
	wanted, err := relocationsByType(coll.Programs)
	if err != nil {
		t.Fatal(err)
	}
	types, tables := make(map[string]bool), make(map[string]bool)
	for local := range wanted {
		name, _, _ := strings.Cut(local, "___")
		types[name] = true
	}
	for _, p := range coll.Programs {
		for _, ins := range p.Instructions {
			tables[ins.Reference()] = true
		}
	}
	return func(p part) bool {
		typeName, _, _ := strings.Cut(p.name, ".")
		switch p.kind {
		case "symbol", "attaching", "attribution", "room":
			return false
		case "program":
			return isLegacyProgram(p.name)
		case "map":
			return tables[p.name]
		case "type", "member":
			return types[typeName]
		}
		return true
	}
}

func checkDrop(t *testing.T, tr *Tracer, n *calibrate.Namespace, p part) {
	if err := sendTo(n, droppedPort); err != nil {
		t.Fatal(err)
	}
	tr.SetDeadline(time.Now().Add(20 * time.Second))
	if p.blind() {
		return // nothing to wait for
	}
	var e event.Event
	if err := tr.Read(&e); err != nil {
		t.Fatal(err)
	}
	const udpPort = 20 + 2
	if h := e.Header[udpPort:]; int(h[0])<<8|int(h[1]) != droppedPort {
		t.Errorf("another packet: % x", e.Header[:28])
	}
	tr.kernel.ahead.Wait() // the programs for iptables-legacy may find more to be missing
	notices := tr.Notices()
	if _, costs := typeCosts()[p.name]; p.kind == "type" && costs && len(notices) == 0 {
		t.Errorf("nothing says that type %s is missing", p.name)
	}
	if e.Rule.RuleHandle == 0 && len(notices) == 0 {
		t.Errorf("nothing says why the rule is not told (kind %d, method %d, flags %#x)", e.Rule.Kind, e.Rule.Method, e.Flags)
	}
	t.Logf("rule %d by method %d; %q", e.Rule.RuleHandle, e.Rule.Method, notices)
}
