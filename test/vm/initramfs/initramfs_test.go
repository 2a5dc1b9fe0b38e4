package initramfs

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseFile(t *testing.T) {
	tests := []struct {
		in   string
		want File
	}{
		{"bin/tracer.test", File{"bin/tracer.test", "/tracer.test"}},
		{"/tmp/x:/usr/local/bin/y", File{"/tmp/x", "/usr/local/bin/y"}},
		{"testdata:/a/../testdata/", File{"testdata", "/testdata"}},
	}
	for _, tt := range tests {
		got, err := ParseFile(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseFile(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"", ":/x", "x:", "x:y"} {
		if got, err := ParseFile(in); err == nil {
			t.Errorf("ParseFile(%q) = %v, want an error", in, got)
		}
	}
}

func TestQuoteSurvivesAShell(t *testing.T) {
	args := []string{"", "a b", "it's", `"$HOME" \ * ;`, "two\nlines", "-n"}
	out, err := exec.Command("sh", "-c", `printf '%s\0' `+quote(args)).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if !slices.Equal(got, args) {
		t.Errorf("got %q, want %q", got, args)
	}
}

func TestAddTreeTakesAFolderWhole(t *testing.T) {
	host := t.TempDir()
	if err := os.MkdirAll(filepath.Join(host, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(host, "sub", "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub/file", filepath.Join(host, "link")); err != nil {
		t.Fatal(err)
	}
	a := newArchive(&bytes.Buffer{})
	if err := addTree(a, "/guest", host); err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(a.names))
	want := []string{"/guest", "/guest/link", "/guest/sub", "/guest/sub/file"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseLibrariesTakesTheFirstOfThisArchitecture(t *testing.T) {
	out := `213 libs found in cache
	libm.so.6 (libc6,x32) => /libx32/libm.so.6
	libm.so.6 (libc6,x86-64, OS ABI: Linux 3.2.0) => /lib/x86_64-linux-gnu/libm.so.6
	libm.so.6 (libc6,x86-64) => /opt/lib/libm.so.6
`
	got := parseLibraries(out)
	want := map[string]string{"libm.so.6": "/lib/x86_64-linux-gnu/libm.so.6"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUnderUsr(t *testing.T) {
	for in, want := range map[string]string{
		"/lib64/ld.so":  "/usr/lib64/ld.so",
		"/usr/sbin/nft": "/usr/sbin/nft",
	} {
		if got := underUsr(in); got != want {
			t.Errorf("underUsr(%q) = %q, want %q", in, got, want)
		}
	}
}
