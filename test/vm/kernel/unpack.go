package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// unpack fills the folder of k from its packages, by way of a scratch folder
// on the same file system.
func unpack(ctx context.Context, k Kernel, debs []string, scratch string) error {
	for _, deb := range debs {
		if _, err := run(ctx, "", "dpkg-deb", "-x", deb, scratch); err != nil {
			return err
		}
	}
	// depmod looks in lib, and split packages unpack into usr/lib.
	err := os.Symlink("usr/lib", filepath.Join(scratch, "lib"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	from := filepath.Join(scratch, "lib/modules", k.Release)
	to := filepath.Join(k.Modules(), k.Release)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if err := moveImage(k, scratch, from); err != nil {
		return err
	}
	if _, err := run(ctx, "", depmod(), "-b", scratch, k.Release); err != nil {
		return err
	}
	if err := moveModules(ctx, from, to); err != nil {
		return err
	}
	_, err = run(ctx, "", depmod(), "-b", filepath.Join(k.dir, "root"), k.Release)
	return err
}

// moveImage takes the image from /boot, or from beside the modules, where
// split packages have it.
func moveImage(k Kernel, scratch, modules string) error {
	err := os.Rename(filepath.Join(scratch, "boot", "vmlinuz-"+k.Release), k.Image())
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(filepath.Join(modules, "vmlinuz"), k.Image())
	}
	return err
}

// moveModules takes the modules that a guest may need, uncompressed: a guest
// without hardware acceleration is slow to do that.
func moveModules(ctx context.Context, from, to string) error {
	dep, err := os.ReadFile(filepath.Join(from, "modules.dep"))
	if err != nil {
		return err
	}
	softdep, err := os.ReadFile(filepath.Join(from, "modules.softdep"))
	if err != nil {
		return err
	}
	chosen := chooseModules(string(dep), string(softdep))
	if len(chosen) == 0 {
		return errors.New("no modules in the packages")
	}
	for _, m := range chosen {
		dst := filepath.Join(to, m)
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(from, m), dst); err != nil {
			return err
		}
	}
	// depmod reads these to know what is built in and which module goes first.
	for _, name := range []string{"modules.builtin", "modules.builtin.modinfo", "modules.order"} {
		err := os.Rename(filepath.Join(from, name), filepath.Join(to, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for suffix, command := range map[string][]string{
		".xz":  {"xz", "--decompress"},
		".zst": {"zstd", "--decompress", "--rm", "--quiet"},
	} {
		compressed := slices.DeleteFunc(slices.Clone(chosen), func(m string) bool {
			return !strings.HasSuffix(m, suffix)
		})
		if len(compressed) == 0 {
			continue
		}
		if _, err := run(ctx, to, command[0], append(command[1:], compressed...)...); err != nil {
			return fmt.Errorf("decompress modules: %w", err)
		}
	}
	return nil
}

// depmod is not always in the PATH of users other than root.
func depmod() string {
	const path = "/usr/sbin/depmod"
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return "depmod"
}
