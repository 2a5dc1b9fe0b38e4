package budget

import (
	"context"
	"errors"
	"testing"
)

func TestTake(t *testing.T) {
	whole := New(3<<20, nil)
	a, b := New(2<<20, whole), New(2<<20, whole)
	if err := a.Take(2 << 20); err != nil {
		t.Fatal(err)
	}
	if err := a.Take(1); !errors.Is(err, ErrLimit) || err.Error() != "rules not read: 2 MB limit" {
		t.Error(err)
	}
	if err := b.Take(2 << 20); !errors.Is(err, ErrLimit) || err.Error() != "rules not read: 3 MB limit of all namespaces" {
		t.Error(err)
	}
	if err := b.Take(1 << 20); err != nil {
		t.Error(err)
	}
	a.Release()
	if whole.Taken() != 1<<20 || a.Taken() != 0 {
		t.Errorf("%d of the whole, %d taken after Release", whole.Taken(), a.Taken())
	}
	if err := b.Take(1 << 20); err != nil {
		t.Error(err)
	}
	if err := a.Take(1); !errors.Is(err, ErrLimit) {
		t.Errorf("after Release: %v", err)
	}
}

func TestReleaseGivesBackToTheWholeOfTheWhole(t *testing.T) {
	all := New(3, nil)
	b := New(1, New(2, all))
	if err := b.Take(1); err != nil || all.Taken() != 1 {
		t.Errorf("%d taken: %v", all.Taken(), err)
	}
	if b.Release(); all.Taken() != 0 {
		t.Errorf("%d taken after Release", all.Taken())
	}
}

func TestContextWithoutBudgetHasNoBound(t *testing.T) {
	b := From(context.Background())
	if err := b.Take(1 << 40); err != nil {
		t.Error(err)
	}
	b.Release()
}
