package table

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// As 6.18 prints it, and as 5.10 does but for the width.
const stats618 = `entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
00000005  00000001 0000000a 00000000 00000002 00000000 00000000 00000007 00000000 00000004 00000003 00000009 00000000  00000000 00000000 00000000 00000006
00000005  00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000000 ffffffff 00000000 00000000 00000001  00000000 00000000 00000000 00000000
`

func TestStatsOfProcAreFoundByTheirNames(t *testing.T) {
	got, err := parseStats(strings.NewReader(stats618))
	if err != nil {
		t.Fatal(err)
	}
	want := Stats{
		{ID: 0, ClashResolve: 1, Found: 10, Invalid: 2, ChainTooLong: 7, InsertFailed: 4, Drop: 3, EarlyDrop: 9, SearchRestart: 6},
		{ID: 1, Found: 1, InsertFailed: 0xffffffff, Error: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "a b\n1\n", "found\nxyz\n"} {
		if _, err := parseStats(strings.NewReader(bad)); !errors.Is(err, errMalformed) {
			t.Errorf("%q: %v, want it refused", bad, err)
		}
	}
}

func TestCountersCountOnWhereTheyWrap(t *testing.T) {
	before := Stats{{ID: 0, Drop: 0xfffffffe}, {ID: 1, Drop: 5}}
	after := Stats{{ID: 0, Drop: 3}, {ID: 1, Drop: 5}, {ID: 2, Drop: 7}}
	if got := after.Since(before); got.Drop != 5+7 {
		t.Errorf("%d dropped since, want 12", got.Drop)
	}
	if got := after.Sum(); got.Drop != 15 {
		t.Errorf("%d dropped in all, want 15", got.Drop)
	}
}

func FuzzParseStats(f *testing.F) {
	f.Add(stats618)
	f.Add("found\n0\n")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseStats(strings.NewReader(text)); err == nil {
			s.Since(s)
		}
	})
}
