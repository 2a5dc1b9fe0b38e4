package main

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/droptrace/droptrace/test/vm/initramfs"
	"github.com/droptrace/droptrace/test/vm/kernel"
	"github.com/droptrace/droptrace/test/vm/qemu"
)

func TestOptionsCollectRepeatedFlags(t *testing.T) {
	o, err := parseOptions([]string{
		"-kernel", "6.1,5.10", "-kernel", "newest", "-kernel", "6.1",
		"-file", "a", "-file", "b:/c",
		"--", "sh", "-c", "true",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"6.1", "5.10", "newest"}; !slices.Equal(o.kernels, want) {
		t.Errorf("kernels: got %q, want %q", o.kernels, want)
	}
	if want := []initramfs.File{{Host: "a", Guest: "/a"}, {Host: "b", Guest: "/c"}}; !slices.Equal(o.files, want) {
		t.Errorf("files: got %v, want %v", o.files, want)
	}
	if want := []string{"sh", "-c", "true"}; !slices.Equal(o.command, want) {
		t.Errorf("command: got %q, want %q", o.command, want)
	}
}

func TestOptionsBootEveryKernelByDefault(t *testing.T) {
	o, err := parseOptions([]string{"true"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.kernels, kernel.Names()) {
		t.Errorf("got %q, want %q", o.kernels, kernel.Names())
	}
}

func TestOptionsRefuse(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"-kernel", "2.6", "true"},
		{"-kernel", "", "true"},
		{"-file", "a:b", "true"},
		{"-nonsense", "true"},
	} {
		if _, err := parseOptions(args, io.Discard); err == nil {
			t.Errorf("parseOptions(%q): no error", args)
		}
	}
}

func TestOutcomeCode(t *testing.T) {
	tests := []struct {
		name string
		o    outcome
		want int
	}{
		{"the command's own", outcome{res: qemu.Result{Code: 7}}, 7},
		{"success", outcome{}, 0},
		{"a kernel that is missing is a failure", outcome{err: errors.New("missing")}, exitFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.o.code(); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
