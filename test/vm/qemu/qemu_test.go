package qemu

import (
	"slices"
	"strings"
	"testing"
)

func TestReadReport(t *testing.T) {
	tests := []struct {
		name          string
		in            string
		ready, exited bool
		code          int
		taint         uint64
		wantErr       bool
	}{
		{name: "a guest that died while it booted", in: ""},
		{name: "a guest that died in the command", in: "ready\r\n", ready: true},
		{name: "success", in: "ready\nexit 0 0\n", ready: true, exited: true},
		{name: "failure", in: "ready\nexit 7 512\n", ready: true, exited: true, code: 7, taint: 512},
		{name: "noise", in: "\x00\nreadyish\nready\nexit 1 0", ready: true, exited: true, code: 1},
		{name: "a broken line", in: "ready\nexit\n", ready: true, wantErr: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			called := false
			got, err := readReport(strings.NewReader(tt.in), func() { called = true })
			if (err != nil) != tt.wantErr {
				t.Fatalf("err = %v", err)
			}
			if called != tt.ready || got.ready.IsZero() == tt.ready || got.exited.IsZero() == tt.exited {
				t.Errorf("called ready: %v; got %+v", called, got)
			}
			if got.code != tt.code || got.taint != tt.taint {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestUnixLinesDropsOnlyLineEndings(t *testing.T) {
	for _, chunks := range [][]string{
		{"a\r\nb\rc\r\r\n"},
		{"a\r", "\nb\r", "c\r", "\r\n"},
	} {
		var got strings.Builder
		u := &unixLines{w: &got}
		for _, c := range chunks {
			if n, err := u.Write([]byte(c)); err != nil || n != len(c) {
				t.Fatalf("Write(%q) = %d, %v", c, n, err)
			}
		}
		if want := "a\nb\rc\r\n"; got.String() != want {
			t.Errorf("chunks %q: got %q, want %q", chunks, got.String(), want)
		}
	}
}

func TestTheControlPortIsOneThatTheGuestKnows(t *testing.T) {
	for arch, want := range map[string]struct{ params, wire, cpu string }{
		"":      {"console=ttyS0 control=ttyS1 ", "chardev:control", "max"},
		"arm64": {"console=ttyAMA0 control=ttyS0 ", "pci-serial,chardev=control", "max,pauth-impdef=on"},
	} {
		args := Machine{Arch: arch}.args()
		if i := slices.Index(args, "-append"); !strings.HasPrefix(args[i+1], want.params) {
			t.Errorf("%q: parameters %q, want %q", arch, args[i+1], want.params)
		}
		if i := slices.Index(args, "-cpu"); args[i+1] != want.cpu || !slices.Contains(args, want.wire) {
			t.Errorf("%q: want %s and %s in %v", arch, want.cpu, want.wire, args)
		}
	}
	args := Machine{Arch: "arm64", CPU: "cortex-a72"}.args()
	if i := slices.Index(args, "-cpu"); args[i+1] != "cortex-a72" {
		t.Errorf("got CPU %s, want the one asked for", args[i+1])
	}
}

func TestCountingIsSingleThreaded(t *testing.T) {
	args := Machine{CPUs: 4, ICount: true}.args()
	for _, want := range [][2]string{{"-accel", "tcg,thread=single"}, {"-smp", "1"}, {"-icount", "shift=0"}} {
		i := slices.Index(args, want[0])
		if i < 0 || args[i+1] != want[1] {
			t.Errorf("want %v in %v", want, args)
		}
	}
}
