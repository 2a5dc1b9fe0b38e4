package output

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droptrace/droptrace/resolve/drop"
)

// fill sets every field below v to something that is not zero, each value used
// once, so that a forgotten or a swapped field shows.
func fill(v reflect.Value, n *int, depth int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(sampleTime.Add(time.Duration(*n))))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, byte(*n >> 8), byte(*n)})))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n, depth)
		}
	case reflect.Pointer:
		if depth == 0 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n, depth-1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n, depth)
		fill(v.Index(1), n, depth)
	case reflect.String:
		v.SetString("s" + string(rune('A'+*n%26)) + string(rune('a'+*n/26%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n%255 + 1))
	default:
		panic("fill knows no " + v.Kind().String())
	}
}

func filled[T any]() *T {
	var v T
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n, 3)
	return &v
}

// sameJSON holds got to what encoding/json says of want.
func sameJSON(t *testing.T, got []byte, want any) {
	t.Helper()
	std, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if err := json.Unmarshal(std, &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("differs from encoding/json (-want +got):\n%s", diff)
	}
}

func TestEveryFieldIsEncoded(t *testing.T) {
	full := filled[drop.Drop]()
	got := new(memo).appendDrop(nil, full)
	sameJSON(t, got, full)
	// With nothing to escape the order is the same too.
	if std, _ := json.Marshal(full); !bytes.Equal(got, std) {
		t.Errorf("got  %s\nwant %s", got, std)
	}
	sameJSON(t, new(memo).appendDrop(nil, &drop.Drop{}), &drop.Drop{})
	correlation := filled[correlationRecord]()
	sameJSON(t, new(memo).appendCorrelation(nil, correlation), correlation)
	sameJSON(t, new(memo).appendCorrelation(nil, &correlationRecord{}), &correlationRecord{})
	failure := filled[drop.ConntrackFailure]()
	sameJSON(t, appendConntrackFailure(nil, failure), failure)
	sameJSON(t, appendConntrackFailure(nil, &drop.ConntrackFailure{}), &drop.ConntrackFailure{})
	table := filled[drop.ConntrackSample]()
	sameJSON(t, appendSample(nil, table), table)
	sameJSON(t, appendSample(nil, &drop.ConntrackSample{}), &drop.ConntrackSample{})
	record := filled[foldedRecord]()
	sameJSON(t, appendFolded(nil, record), record)
	sameJSON(t, appendFolded(nil, &foldedRecord{}), &foldedRecord{})
}

func TestSamplesEncodeAsEncodingJSON(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			sameJSON(t, new(memo).appendDrop(nil, &s.drop), &s.drop)
		})
	}
}

// lines prints with a JSON printer and returns the objects.
func lines(t *testing.T, print func(*JSON)) []string {
	t.Helper()
	var b bytes.Buffer
	j := NewJSON(&b)
	print(j)
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	var list []string
	for l := range bytes.Lines(b.Bytes()) {
		list = append(list, string(bytes.TrimSuffix(l, []byte("\n"))))
	}
	return list
}

func TestOtherRecords(t *testing.T) {
	loss := Loss{Type: "loss", Schema: drop.Schema, Time: sampleTime, Lost: 3, Total: 7}
	lostRule := ruleDrop()
	loss.Places = []LossPlace{NewLossPlace(&lostRule, 2), {Lost: 1, Verdict: "drop", Cause: "hook", Function: "nf_confirm"}}
	notice := drop.Notice{Type: "notice", Schema: drop.Schema, Time: sampleTime, Message: "no BTF", Hints: []string{"a", "b"}}
	d := ruleDrop()
	got := lines(t, func(j *JSON) {
		j.Loss(Loss{Time: sampleTime, Lost: 3, Total: 7, Places: loss.Places})
		j.Notice(drop.Notice{Time: sampleTime, Message: "no BTF", Hints: []string{"a", "b"}})
		j.Arrivals(sampleArrivals())
		if shown, err := j.Folded(Folded{Scope: ScopeFlow, Count: 5, Drop: &d}); shown != 1 || err != nil {
			t.Errorf("flow: shown %d, %v", shown, err)
		}
		if shown, err := j.Folded(Folded{Scope: ScopeRule, Count: 9, Drop: &d, Last: sampleTime}); shown != 0 || err != nil {
			t.Errorf("rule: shown %d, %v", shown, err)
		}
	})
	repeated := ruleDrop()
	repeated.Repeats = 4
	folded := foldedRecord{
		Type: "folded", Schema: 1, Time: sampleTime, Until: sampleTime, Scope: ScopeRule, Count: 9,
		Netns: &d.Netns, Hook: "input", Verdict: "drop", Cause: "rule",
		Reason: "NETFILTER_DROP", Location: "nft_do_chain+0x3e8", Rule: d.Rule,
	}
	for i, want := range []any{loss, notice, sampleArrivals(), repeated, folded} {
		sameJSON(t, []byte(got[i]), want)
	}
	if d.Repeats != 0 {
		t.Error("the drop itself was changed")
	}
}

func BenchmarkJSON(b *testing.B) {
	all := samples()
	j := NewJSON(io.Discard)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Drop(&all[i%len(all)].drop)
	}
}

func BenchmarkEncodingJSON(b *testing.B) {
	all := samples()
	enc := json.NewEncoder(io.Discard)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		enc.Encode(&all[i%len(all)].drop)
	}
}

func FuzzTime(f *testing.F) {
	f.Add(int64(0), int64(0), 0)
	f.Add(int64(1_700_000_000), int64(120_000_000), 3600)
	f.Add(int64(1_700_000_000), int64(1), -34200)
	f.Fuzz(func(t *testing.T, second, nano int64, offset int) {
		at := time.Unix(second%(1<<37), nano%1e9)
		var m memo
		for _, at := range []time.Time{at, at.Add(1), at.Add(time.Second), at.UTC(), at.In(time.FixedZone("", offset%86400))} {
			want, err := at.MarshalJSON()
			if err != nil {
				return // a year that RFC 3339 cannot have
			}
			if got := m.appendTime(nil, at); !bytes.Equal(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// What is remembered of one drop must never stand in another that differs.
func TestRememberedPartsAreThoseOfTheDrop(t *testing.T) {
	var m memo
	d := *filled[drop.Drop]()
	check := func(what string) {
		t.Helper()
		if got, want := m.appendDrop(nil, &d), new(memo).appendDrop(nil, &d); !bytes.Equal(got, want) {
			t.Errorf("%s: got  %s\nwant %s", what, got, want)
		}
	}
	check("the first")
	check("the same again")
	for i := range reflect.TypeFor[drop.Rule]().NumField() {
		rule := *d.Rule
		n := 1000 + i
		fill(reflect.ValueOf(&rule).Elem().Field(i), &n, 1)
		d.Rule = &rule
		check("another " + reflect.TypeFor[drop.Rule]().Field(i).Name)
	}
	d.Rule.Text = "changed in place"
	check("a rule changed in place")
	for i := range reflect.TypeFor[drop.Netns]().NumField() {
		n := 2000 + i
		fill(reflect.ValueOf(&d.Netns).Elem().Field(i), &n, 1)
		check("another " + reflect.TypeFor[drop.Netns]().Field(i).Name)
	}
	d.Time = d.Time.Add(1500 * time.Millisecond)
	check("another time")
	d.Time = d.Time.In(time.FixedZone("", 3600))
	check("another zone")
}
