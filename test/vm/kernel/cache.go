// Package kernel finds, downloads and unpacks Debian's kernels for tests to
// boot.
package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A Kernel is unpacked and ready to boot.
type Kernel struct {
	Name    string // as asked for: 6.1
	Release string // as `uname -r` says: 6.1.0-56-cloud-amd64
	Version string // of its package: 6.1.192-2

	dir string
}

// A record is what the cache knows of a kernel.
type record struct {
	Kernel
	// What its modules were chosen by. A choice that changed since makes the
	// kernel unknown.
	Selection []string
}

// Image is the file to boot.
func (k Kernel) Image() string { return filepath.Join(k.dir, "vmlinuz") }

// Modules is the folder that the guest sees as /lib/modules.
func (k Kernel) Modules() string { return filepath.Join(k.dir, "root/lib/modules") }

// A Cache keeps kernels, so that only the first use of each needs the network.
type Cache struct {
	Dir    string
	Mirror string // the Debian mirror
	// Logf tells of downloads, which take a while.
	Logf func(format string, args ...any)
}

// Get returns a kernel, the newest of its line if it is not in the cache or
// update is set.
func (c *Cache) Get(ctx context.Context, name string, update bool) (Kernel, error) {
	src, err := sourceOf(name)
	if err != nil {
		return Kernel{}, err
	}
	unlock, err := lock(ctx, c.Dir)
	if err != nil {
		return Kernel{}, err
	}
	defer unlock()
	if !update {
		k, err := c.Cached(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return k, err
		}
	}
	k, err := c.add(ctx, src)
	if err != nil {
		return Kernel{}, fmt.Errorf("get kernel %s: %w", name, err)
	}
	return k, nil
}

// Cached returns a kernel that is in the cache, else fs.ErrNotExist.
func (c *Cache) Cached(name string) (Kernel, error) {
	// The link is followed once, so that an update meanwhile cannot mix two
	// kernels.
	dir, err := filepath.EvalSymlinks(filepath.Join(c.Dir, name))
	if err != nil {
		return Kernel{}, err
	}
	k, err := load(dir)
	k.Name = name // one kernel may have several: newest is of some line too
	return k, err
}

// Newest tells what Get would download, without doing so.
func (c *Cache) Newest(ctx context.Context, name string) (Kernel, error) {
	src, err := sourceOf(name)
	if err != nil {
		return Kernel{}, err
	}
	dir, err := os.MkdirTemp("", "droptrace-apt-")
	if err != nil {
		return Kernel{}, err
	}
	defer os.RemoveAll(dir)
	_, k, _, err := c.resolve(ctx, dir, src)
	return k, err
}

func (c *Cache) resolve(ctx context.Context, dir string, src source) (*apt, Kernel, []debPackage, error) {
	a, err := newApt(ctx, dir, c.Mirror, archOf(src.name), src.suites)
	if err != nil {
		return nil, Kernel{}, nil, err
	}
	offered, err := a.packages(ctx, src.wants)
	if err != nil {
		return nil, Kernel{}, nil, err
	}
	pkgs, err := src.newest(offered)
	if err != nil {
		return nil, Kernel{}, nil, err
	}
	release, _ := src.releaseOf(pkgs[0].name)
	return a, Kernel{Name: src.name, Release: release, Version: pkgs[0].version}, pkgs, nil
}

// add puts the newest kernel of a source into the cache.
func (c *Cache) add(ctx context.Context, src source) (Kernel, error) {
	// One name, so that what a killed process left is cleared.
	tmp := filepath.Join(c.Dir, ".new")
	if err := os.RemoveAll(tmp); err != nil {
		return Kernel{}, err
	}
	defer os.RemoveAll(tmp)
	a, k, pkgs, err := c.resolve(ctx, tmp, src)
	if err != nil {
		return Kernel{}, err
	}
	dir := filepath.Join(c.Dir, "kernels", k.Release+"_"+k.Version)
	if _, err := load(dir); err == nil {
		return c.point(k.Name, dir)
	}

	c.Logf("downloading Linux %s (%s)", k.Release, k.Version)
	debs, err := a.download(ctx, tmp, pkgs)
	if err != nil {
		return Kernel{}, err
	}
	k.dir = filepath.Join(tmp, "kernel")
	if err := unpack(ctx, k, debs, filepath.Join(tmp, "unpacked")); err != nil {
		return Kernel{}, fmt.Errorf("unpack %s: %w", k.Release, err)
	}
	if err := save(k); err != nil {
		return Kernel{}, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return Kernel{}, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return Kernel{}, err
	}
	if err := os.Rename(k.dir, dir); err != nil {
		return Kernel{}, err
	}
	return c.point(k.Name, dir)
}

// point makes name stand for the kernel in dir. The one that it stood for is
// removed, unless it has another name.
func (c *Cache) point(name, dir string) (Kernel, error) {
	link := filepath.Join(c.Dir, name)
	old, err := filepath.EvalSymlinks(link)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Kernel{}, err
	}
	// Relative, so that the cache can be moved.
	target, err := filepath.Rel(c.Dir, dir)
	if err != nil {
		return Kernel{}, err
	}
	tmp := filepath.Join(c.Dir, ".link-"+name)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Kernel{}, err
	}
	if err := os.Symlink(target, tmp); err != nil {
		return Kernel{}, err
	}
	if err := os.Rename(tmp, link); err != nil {
		return Kernel{}, err
	}
	k, err := c.Cached(name)
	if err != nil {
		return Kernel{}, err
	}
	if old != "" && old != k.dir && !c.named(old) {
		err = os.RemoveAll(old)
	}
	return k, err
}

// named reports whether some name stands for the kernel in dir.
func (c *Cache) named(dir string) bool {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return true // it is kept
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		to, err := filepath.EvalSymlinks(filepath.Join(c.Dir, e.Name()))
		return err == nil && to == dir
	})
}

func load(dir string) (Kernel, error) {
	file := filepath.Join(dir, "kernel.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return Kernel{}, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return Kernel{}, fmt.Errorf("read %s: %w", file, err)
	}
	if !slices.Equal(r.Selection, selection()) {
		return Kernel{}, fmt.Errorf("%s is of another selection of modules: %w", file, fs.ErrNotExist)
	}
	r.dir = dir
	return r.Kernel, nil
}

func save(k Kernel) error {
	data, err := json.MarshalIndent(record{Kernel: k, Selection: selection()}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(k.dir, "kernel.json"), append(data, '\n'), 0o644)
}

func selection() []string { return slices.Concat(moduleFolders(), moduleNames()) }
