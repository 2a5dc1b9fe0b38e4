package filter_test

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/droptrace/droptrace/test/nstest"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter"
	"github.com/droptrace/droptrace/tracer/filter/internal/kernelside"
)

// inKernel runs bpf/filter.h on this kernel.
type inKernel struct {
	kernelside.ProgramsObjects
	input []byte
}

// open loads the programs, with constant in the place that droptrace has it in.
func open(t testing.TB, constant filter.Kernel) *inKernel {
	t.Helper()
	nstest.SkipUnprivileged(t)
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatalf("raise memlock limit: %v", err)
	}
	spec, err := kernelside.LoadPrograms()
	if err != nil {
		t.Fatal(err)
	}
	if err := spec.Variables["filter"].Set(constant); err != nil {
		t.Fatalf("constant filter: %v", err)
	}
	k := &inKernel{input: make([]byte, unsafe.Sizeof(kernelside.ProgramsInput{}))}
	if err := spec.LoadAndAssign(&k.ProgramsObjects, nil); err != nil {
		if v, ok := errors.AsType[*ebpf.VerifierError](err); ok {
			t.Logf("%+v", v)
		}
		t.Fatalf("load programs: %v", err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func (k *inKernel) configure(t testing.TB, c filter.Kernel) {
	t.Helper()
	if err := k.Configs.Put(uint32(0), &c); err != nil {
		t.Fatal(err)
	}
}

func (k *inKernel) match(t testing.TB, p *ebpf.Program, e *event.Event) bool {
	t.Helper()
	copy(k.input, unsafe.Slice((*byte)(unsafe.Pointer(e)), unsafe.Offsetof(e.Data)))
	if err := k.Inputs.Put(uint32(0), k.input); err != nil {
		t.Fatal(err)
	}
	verdict, err := p.Run(&ebpf.RunOptions{})
	if err != nil {
		t.Fatalf("run %v: %v", p, err)
	}
	return verdict == 1
}

// The layout in Go is the one that the programs were compiled with.
func TestKernelLayout(t *testing.T) {
	if got, want := unsafe.Sizeof(filter.Kernel{}), unsafe.Sizeof(kernelside.ProgramsFilterConfig{}); got != want {
		t.Errorf("filter.Kernel has %d bytes, struct filter_config %d", got, want)
	}
	if got, want := unsafe.Offsetof(event.Event{}.Data), unsafe.Offsetof(kernelside.ProgramsInput{}.Work); got != want {
		t.Errorf("event.Event has %d bytes, struct event %d: run go generate", got, want)
	}
}

// TestKernelAgrees holds the kernel's evaluation against Go's: the same where
// the form is exact, and never less.
func TestKernelAgrees(t *testing.T) {
	const filters, events = 1000, 100
	k := open(t, filter.Kernel{})
	r := newRandom(4)
	matched, inexact, passed := 0, 0, 0
	for range filters {
		f := mustParse(t, r.spec())
		c, exact := f.Kernel()
		k.configure(t, c)
		for range events {
			e := r.event()
			got, want := k.match(t, k.MatchMap, e), f.MatchEvent(e)
			if got != want && (exact || want) {
				t.Fatalf("%q: kernel %t, Go %t, exact %t; event %s", f.Describe(), got, want, exact, show(e))
			}
			matched += count(want)
			inexact += count(!exact)
			passed += count(got != want)
		}
	}
	t.Logf("of %d, %d matched; %d by filters too large for the kernel, of which it passed %d more",
		filters*events, matched, inexact, passed)
	if matched < filters*events/20 || matched > filters*events/2 || passed == 0 {
		t.Errorf("of %d events %d matched, and the kernel passed %d more: the test decides too little", filters*events, matched, passed)
	}
}

// TestKernelFlags does the same with one flag at a time, so that none hides
// behind another.
func TestKernelFlags(t *testing.T) {
	k := open(t, filter.Kernel{})
	r := newRandom(5)
	matched := make(map[string]int)
	for range 300 {
		for _, flag := range parts(r.spec()) {
			for _, s := range flag[:1] {
				f := mustParse(t, s)
				c, _ := f.Kernel()
				k.configure(t, c)
				for range 20 {
					e := r.event()
					got, want := k.match(t, k.MatchMap, e), f.MatchEvent(e)
					if got != want {
						t.Fatalf("%q: kernel %t, Go %t; event %s", f.Describe(), got, want, show(e))
					}
					matched[flagOf(f)] += count(want)
				}
			}
		}
	}
	t.Logf("matched: %v", matched)
	if len(matched) != 12 {
		t.Errorf("%d flags were tried, want 12", len(matched))
	}
	for flag, n := range matched {
		if n == 0 {
			t.Errorf("no event matched --%s", flag)
		}
	}
}

// TestKernelConstant loads filters as droptrace does, as constants.
func TestKernelConstant(t *testing.T) {
	r := newRandom(6)
	for range 20 {
		f := mustParse(t, r.spec())
		c, exact := f.Kernel()
		k := open(t, c)
		for range 100 {
			e := r.event()
			got, want := k.match(t, k.MatchConstant, e), f.MatchEvent(e)
			if got != want && (exact || want) {
				t.Fatalf("%q: kernel %t, Go %t, exact %t; event %s", f.Describe(), got, want, exact, show(e))
			}
		}
	}
}

func flagOf(f *filter.Filter) string {
	for i, c := range f.Describe() {
		if c == ' ' {
			return f.Describe()[:i]
		}
	}
	return f.Describe()
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
