package xtables

import (
	"errors"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/budget"
)

func TestTableThatIsTooLargeIsNotRead(t *testing.T) {
	entries := 0
	get := func(option int, buf []byte) error {
		if option == optEntries {
			entries++
			return nil
		}
		for i := range 4 {
			buf[infoSize-4+i] = 0x10 // 269 MB of entries
		}
		return nil
	}
	_, err := read(TableID{"ip", "filter"}, within(budget.New(32<<20, nil), get))
	if !errors.Is(err, budget.ErrLimit) || entries > 0 {
		t.Errorf("%v after asking %d times for the entries", err, entries)
	}
}
