package real

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// trees are kept between runs in this folder where it is set: debootstrap takes
// minutes.
const treesVariable = "DROPTRACE_TREES"

// tree is a fresh one of a suite of Debian's.
func tree(t *testing.T, suite string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), suite)
	bootstrap := func(to string) { command(t, "debootstrap", "--variant=minbase", suite, to) }
	keep := os.Getenv(treesVariable)
	if keep == "" {
		bootstrap(dir)
		return dir
	}
	kept := filepath.Join(keep, suite)
	if _, err := os.Stat(filepath.Join(kept, "usr/bin/apt-get")); err != nil {
		bootstrap(kept)
	}
	command(t, "cp", "-a", kept, dir)
	return dir
}

// chroot is the words before a command that runs in the tree, with the kernel's file
// systems, which go with the mount namespace that they are in.
func chroot(dir string) []string {
	return []string{"unshare", "--mount", "sh", "-c", `
		mkdir -p "$0/run/netns"
		for d in proc sys dev run/netns; do mount --rbind /$d "$0/$d" || exit; done
		exec chroot "$0" "$@"`, dir}
}

func TestDebianInstallsRunsRemovesPurges(t *testing.T) {
	for _, suite := range []string{"bookworm", "trixie", "sid"} {
		t.Run(suite, func(t *testing.T) {
			dir := tree(t, suite)
			in := func(args ...string) string {
				t.Helper()
				argv := append(chroot(dir), args...)
				return command(t, argv[0], argv[1:]...)
			}
			command(t, "cp", only(t, "*.deb"), filepath.Join(dir, "droptrace.deb"))
			command(t, "cp", "-L", "/etc/resolv.conf", filepath.Join(dir, "etc/resolv.conf"))
			// A mirror may stand still, whose lists are too old then.
			conf := filepath.Join(dir, "etc/apt/apt.conf.d/mirror")
			if err := os.WriteFile(conf, []byte("Acquire::Check-Valid-Until \"false\";\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			in("apt-get", "-qq", "update")
			in("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install", "-y", "/droptrace.deb")
			// What is recommended came along.
			in("nft", "--version")
			in("tcpdump", "--version")
			seesDrop(t, chroot(dir), "droptrace")

			backups := filepath.Join(dir, "var/lib/droptrace/backups")
			if err := os.MkdirAll(backups, 0o700); err != nil {
				t.Fatal(err)
			}
			in("apt-get", "-qq", "remove", "-y", "droptrace")
			if left := names(t, dir); strings.Join(left, " ") != "droptrace droptrace.list droptrace.postrm" {
				t.Errorf("removed, and left are %q", left)
			}
			if _, err := os.Stat(backups); err != nil {
				t.Errorf("backups went with the package: %v", err)
			}
			in("apt-get", "-qq", "purge", "-y", "droptrace")
			if left := names(t, dir); len(left) > 0 {
				t.Errorf("purged, and left are %q", left)
			}
		})
	}
}

// names are those of files and folders of ours in the tree, sorted.
func names(t *testing.T, dir string) []string {
	t.Helper()
	out := command(t, "find", dir, "-xdev", "-name", "*droptrace*", "!", "-name", "droptrace.deb", "-printf", "%f\n")
	list := strings.Fields(out)
	slices.Sort(list)
	return list
}
