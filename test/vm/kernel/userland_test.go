package kernel

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func touch(t *testing.T, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUserlandKeepsProgramsOnly(t *testing.T) {
	root := t.TempDir()
	touch(t, root, "usr/bin/ip", "usr/sbin/nft", "usr/lib/arm/libc.so.6", "usr/lib/arm/gconv/IBM037.so",
		"usr/share/doc/ip", "etc/passwd", "var/lib/dpkg/status")
	if err := os.Symlink("usr/bin", filepath.Join(root, "bin")); err != nil {
		t.Fatal(err)
	}
	if err := keepPrograms(root); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.WalkDir(root, func(file string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, file)
			got = append(got, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"bin", "usr/bin/ip", "usr/lib/arm/libc.so.6", "usr/sbin/nft"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTablesAreThoseOfNFT(t *testing.T) {
	sbin := t.TempDir()
	touch(t, sbin, "iptables-nft", "iptables-nft-save", "ip6tables-nft-restore", "iptables-legacy", "xtables-nft-multi")
	for range 2 { // what is there is left
		if err := linkTables(sbin); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"iptables": "iptables-nft", "iptables-save": "iptables-nft-save", "ip6tables-restore": "ip6tables-nft-restore",
	} {
		if got, err := os.Readlink(filepath.Join(sbin, name)); err != nil || got != want {
			t.Errorf("%s leads to %q, want %q: %v", name, got, want, err)
		}
	}
}

func TestUserlandOfTheSamePackagesNeedsNoNetwork(t *testing.T) {
	c := &Cache{Dir: t.TempDir(), Mirror: "file:///missing", Logf: t.Logf}
	dir := filepath.Join(c.Dir, "userland-arm64")
	touch(t, dir, "root/usr/bin/ip", "packages")
	if _, err := c.Userland(t.Context(), ARM64); err == nil {
		t.Error("a userland of other packages was taken")
	}
	touch(t, dir, "root/usr/bin/ip")
	if err := os.WriteFile(filepath.Join(dir, "packages"), []byte(selectedPackages()), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Userland(t.Context(), ARM64); err != nil || got != filepath.Join(dir, "root") {
		t.Errorf("got %s, %v", got, err)
	}
}
