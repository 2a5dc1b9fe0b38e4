package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// userlandSuites are Debian 12's, whose tools every kernel here works with.
func userlandSuites() []string { return []string{"bookworm", "bookworm-security"} }

// userlandPackages hold the programs that the initramfs takes from this machine
// where the guest is of the same architecture.
func userlandPackages() []string {
	return []string{
		"bash", "busybox-static", "conntrack", "coreutils", "dash", "ethtool", "findutils",
		"iproute2", "ipset", "iptables", "iputils-ping", "kmod", "libcap2-bin", "nftables",
		"tcpdump", "util-linux",
	}
}

// selectedPackages is kept beside the programs: another choice makes them unknown.
func selectedPackages() string { return strings.Join(userlandPackages(), " ") }

// Userland returns a folder with the programs of a guest of that architecture,
// laid out as its root folder. The first use downloads them. This machine's
// packages are left alone, and none of the programs is run.
func (c *Cache) Userland(ctx context.Context, arch string) (string, error) {
	unlock, err := lock(ctx, c.Dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(c.Dir, "userland-"+arch)
	if had, err := os.ReadFile(filepath.Join(dir, "packages")); err == nil && string(had) == selectedPackages() {
		return filepath.Join(dir, "root"), nil
	}
	if err := c.addUserland(ctx, dir, arch); err != nil {
		return "", fmt.Errorf("get the programs of %s: %w", arch, err)
	}
	return filepath.Join(dir, "root"), nil
}

func (c *Cache) addUserland(ctx context.Context, dir, arch string) error {
	tmp := filepath.Join(c.Dir, ".new") // as for kernels, under the same lock
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	c.Logf("downloading programs of %s", arch)
	a, err := newApt(ctx, tmp, c.Mirror, arch, userlandSuites())
	if err != nil {
		return err
	}
	debs, err := a.downloadAll(ctx, userlandPackages())
	if err != nil {
		return err
	}
	root := filepath.Join(tmp, "userland", "root")
	if err := unpackUserland(ctx, root, debs); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "userland", "packages"), []byte(selectedPackages()), 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(filepath.Join(tmp, "userland"), dir)
}

// downloadAll fetches packages and all that they depend on.
func (a *apt) downloadAll(ctx context.Context, names []string) ([]string, error) {
	args := append([]string{"install", "--yes", "--download-only", "--no-install-recommends"}, names...)
	if _, err := a.run(ctx, "", "apt-get", args...); err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(a.path("cache/archives"), "*.deb"))
}

// unpackUserland unpacks the packages where /bin, /lib and so on are links into
// /usr, and leaves out what no program needs to run.
func unpackUserland(ctx context.Context, root string, debs []string) error {
	for _, name := range []string{"bin", "sbin", "lib"} {
		if err := os.MkdirAll(filepath.Join(root, "usr", name), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	// dpkg-deb -x would replace the links.
	const unpack = `dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink`
	for _, deb := range debs {
		if _, err := run(ctx, "", "sh", "-c", unpack, "sh", deb, root); err != nil {
			return err
		}
	}
	if err := keepPrograms(root); err != nil {
		return err
	}
	return linkTables(filepath.Join(root, "usr/sbin"))
}

// keepPrograms removes all but /usr/bin, /usr/sbin, /usr/lib and the links to them,
// and of those the tables for other character sets.
func keepPrograms(root string) error {
	remove, err := filepath.Glob(filepath.Join(root, "usr/lib/*/gconv"))
	if err != nil {
		return err
	}
	for _, folder := range []string{"", "usr"} {
		entries, err := os.ReadDir(filepath.Join(root, folder))
		if err != nil {
			return err
		}
		for _, e := range entries {
			switch e.Name() {
			case "usr", "bin", "sbin", "lib":
			default:
				remove = append(remove, filepath.Join(root, folder, e.Name()))
			}
		}
	}
	for _, name := range remove {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// linkTables makes iptables what a new Debian system makes it, iptables-nft, and
// so on: the packages leave that to scripts of theirs.
func linkTables(sbin string) error {
	links, err := filepath.Glob(filepath.Join(sbin, "*tables-nft*"))
	if err != nil {
		return err
	}
	for _, link := range links {
		name := strings.Replace(filepath.Base(link), "-nft", "", 1)
		err := os.Symlink(filepath.Base(link), filepath.Join(sbin, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
