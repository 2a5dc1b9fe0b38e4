package filter_test

import (
	"slices"
	"testing"

	"github.com/droptrace/droptrace/tracer/filter"
)

// parts returns specs of one flag with one value each, by flag.
func parts(s filter.Spec) [][]filter.Spec {
	var flags [][]filter.Spec
	add := func(values []string, one func(v []string) filter.Spec) {
		var specs []filter.Spec
		for v := range slices.Chunk(values, 1) {
			specs = append(specs, one(v))
		}
		if specs != nil {
			flags = append(flags, specs)
		}
	}
	add(s.Port, func(v []string) filter.Spec { return filter.Spec{Port: v} })
	add(s.Sport, func(v []string) filter.Spec { return filter.Spec{Sport: v} })
	add(s.Dport, func(v []string) filter.Spec { return filter.Spec{Dport: v} })
	add(s.Host, func(v []string) filter.Spec { return filter.Spec{Host: v} })
	add(s.Src, func(v []string) filter.Spec { return filter.Spec{Src: v} })
	add(s.Dst, func(v []string) filter.Spec { return filter.Spec{Dst: v} })
	add(s.Proto, func(v []string) filter.Spec { return filter.Spec{Proto: v} })
	add(s.Iface, func(v []string) filter.Spec { return filter.Spec{Iface: v} })
	add(s.In, func(v []string) filter.Spec { return filter.Spec{In: v} })
	add(s.Out, func(v []string) filter.Spec { return filter.Spec{Out: v} })
	add(s.Hook, func(v []string) filter.Spec { return filter.Spec{Hook: v} })
	add(s.Mark, func(v []string) filter.Spec { return filter.Spec{Mark: v} })
	return flags
}

func TestListsAreOrAndFlagsAreAnd(t *testing.T) {
	r := newRandom(1)
	for range 500 {
		s := r.spec()
		s.Netfilter, s.NetnsInodes, s.ReasonNumbers = false, nil, nil
		whole, flags := mustParse(t, s), parts(s)
		for range 50 {
			e := r.event()
			want := !slices.ContainsFunc(flags, func(flag []filter.Spec) bool {
				return !slices.ContainsFunc(flag, func(one filter.Spec) bool { return mustParse(t, one).MatchEvent(e) })
			})
			if got := whole.MatchEvent(e); got != want {
				t.Fatalf("%q matches: %t, its values one by one: %t; event %s", whole.Describe(), got, want, show(e))
			}
		}
	}
}

// What either end may be is the same as what one of the ends is.
func TestEitherEnd(t *testing.T) {
	r := newRandom(2)
	for range 20000 {
		e, p, h := r.event(), []string{r.portValue()}, []string{r.hostValue()}
		for _, s := range [][3]filter.Spec{
			{{Port: p}, {Sport: p}, {Dport: p}},
			{{Host: h}, {Src: h}, {Dst: h}},
		} {
			both, src, dst := mustParse(t, s[0]), mustParse(t, s[1]), mustParse(t, s[2])
			if got, want := both.MatchEvent(e), src.MatchEvent(e) || dst.MatchEvent(e); got != want {
				t.Fatalf("%q matches: %t, its ends: %t; event %s", both.Describe(), got, want, show(e))
			}
		}
	}
}

func TestMatchEventAllocatesNothing(t *testing.T) {
	r := newRandom(3)
	f, e := mustParse(t, r.spec()), r.event()
	if n := testing.AllocsPerRun(100, func() { f.MatchEvent(e) }); n != 0 {
		t.Errorf("MatchEvent allocates %v times", n)
	}
}

func BenchmarkMatchEvent(b *testing.B) {
	f := mustParse(b, filter.Spec{Port: []string{"80"}, Host: []string{"10.0.0.0/8"}})
	e := newEvent(flow{6, "192.0.2.1", "10.0.0.2", 40022, 80}.packet())
	b.ReportAllocs()
	for b.Loop() {
		f.MatchEvent(e)
	}
}
