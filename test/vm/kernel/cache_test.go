package kernel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// put saves a kernel in the cache and makes its name stand for it.
func put(t *testing.T, c *Cache, k Kernel) Kernel {
	t.Helper()
	k.dir = filepath.Join(c.Dir, "kernels", k.Release)
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := save(k); err != nil {
		t.Fatal(err)
	}
	got, err := c.point(k.Name, k.dir)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCacheKeepsOneKernelOfALine(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	old := put(t, c, Kernel{Name: "6.1", Release: "6.1.0-55-cloud-amd64", Version: "6.1.192-1"})
	want := put(t, c, Kernel{Name: "6.1", Release: "6.1.0-56-cloud-amd64", Version: "6.1.192-2"})
	got, err := c.Cached("6.1")
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := os.Stat(old.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old kernel is still there: %v", err)
	}
}

func TestGetNeedsNoNetworkForACachedKernel(t *testing.T) {
	c := &Cache{Dir: t.TempDir(), Mirror: "file:///missing"}
	want := put(t, c, Kernel{Name: "5.10", Release: "5.10.0-46-cloud-amd64", Version: "5.10.262-1"})
	got, err := c.Get(t.Context(), "5.10", false)
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestCachedRefusesAnotherSelectionOfModules(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	k := put(t, c, Kernel{Name: "6.1", Release: "6.1.0-56-cloud-amd64", Version: "6.1.192-2"})
	file := filepath.Join(k.dir, "kernel.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), `"veth"`, `"floppy"`, 1)
	if changed == string(data) {
		t.Fatal("the record does not tell the selection")
	}
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cached("6.1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestAKernelOfTwoNamesStaysForTheOther(t *testing.T) {
	c := &Cache{Dir: t.TempDir()}
	line := put(t, c, Kernel{Name: "7.3", Release: "7.3.4-cloud-amd64", Version: "7.3.4-1"})
	put(t, c, Kernel{Name: "newest", Release: "7.3.4-cloud-amd64", Version: "7.3.4-1"})
	put(t, c, Kernel{Name: "newest", Release: "7.4.1-cloud-amd64", Version: "7.4.1-1"})
	got, err := c.Cached("7.3")
	if err != nil || got.dir != line.dir || got.Name != "7.3" {
		t.Errorf("got %+v, %v; want %+v", got, err, line)
	}
}
