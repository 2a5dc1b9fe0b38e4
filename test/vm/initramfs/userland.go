package initramfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// requiredPrograms are copied from the host, and so are all other names under
// which the host knows the same file.
func requiredPrograms() []string {
	return []string{
		// What runs other programs must not be busybox, which would run its own
		// `ip` in place of the real one.
		"dash", "env", "timeout", "nice", "nohup", "chroot", "xargs", "find",
		"setpriv", "nsenter", "unshare", "setsid", "flock", "taskset", "chrt", "prlimit",
		"ip", "tc", "bridge", "ss", "ping",
		"nft", "xtables-nft-multi", "xtables-legacy-multi", "ipset",
		"conntrack", "tcpdump", "ethtool",
		"capsh", "setcap", "getpcaps",
		"kmod",
	}
}

func optionalPrograms() []string { return []string{"bash", "iperf3", "socat"} }

func programFolders() []string { return []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} }

// addUserland adds the host's programs, what they need, and busybox for all
// the rest.
func addUserland(a *archive) error {
	// Programs look in these by their old names, /lib and so on.
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		a.dir("/usr/" + name)
		a.symlink("/"+name, "usr/"+name)
	}
	programs, err := findPrograms()
	if err != nil {
		return err
	}
	plugins, err := filepath.Glob("/usr/lib/*/xtables/*.so")
	if err != nil {
		return err
	}
	if len(plugins) == 0 {
		return errors.New("no plugins of iptables on this machine")
	}
	link, err := newLinker()
	if err != nil {
		return err
	}
	for _, file := range slices.Concat(programs, plugins) {
		if err := link.add(file); err != nil {
			return err
		}
		a.copy(file, file)
	}
	// The C library looks protocol names up with this, before version 2.34.
	if err := link.addNamed("libnss_files.so.2"); err != nil {
		return err
	}
	for _, lib := range link.libraries() {
		if name := underUsr(lib); !a.has(name) {
			a.copy(name, lib)
		}
	}
	if err := addLinks(a, programs); err != nil {
		return err
	}
	return addBusybox(a)
}

// findPrograms returns the files behind the names of the programs.
func findPrograms() ([]string, error) {
	var found, missing []string
	for _, name := range requiredPrograms() {
		if file := findProgram(name); file != "" {
			found = append(found, file)
		} else {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("missing on this machine: %s", strings.Join(missing, ", "))
	}
	for _, name := range optionalPrograms() {
		if file := findProgram(name); file != "" {
			found = append(found, file)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

func findProgram(name string) string {
	for _, dir := range programFolders() {
		if file, err := filepath.EvalSymlinks(filepath.Join(dir, name)); err == nil {
			return underUsr(file)
		}
	}
	return ""
}

// addLinks adds the other names of programs: iptables-nft is a link to
// xtables-nft-multi, and iptables, by way of /etc/alternatives, too.
func addLinks(a *archive, programs []string) error {
	for _, dir := range programFolders() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := underUsr(path.Join(dir, e.Name()))
			if e.Type() != fs.ModeSymlink || a.has(name) {
				continue
			}
			file, err := filepath.EvalSymlinks(name)
			if err != nil {
				continue // a dangling link is no program
			}
			if slices.Contains(programs, underUsr(file)) {
				a.symlink(name, underUsr(file))
			}
		}
	}
	return nil
}

// addBusybox adds busybox and what it can be.
func addBusybox(a *archive) error {
	file := findProgram("busybox")
	if file == "" {
		return errors.New("missing on this machine: busybox")
	}
	a.copy("/usr/bin/busybox", file)
	return addApplets(a)
}

// addApplets gives every command that is still missing to busybox. This machine's
// own knows which there are.
func addApplets(a *archive) error {
	file := findProgram("busybox")
	if file == "" {
		return errors.New("missing on this machine: busybox")
	}
	out, err := exec.Command(file, "--list-full").Output()
	if err != nil {
		return fmt.Errorf("list the commands of busybox: %w", err)
	}
	for _, applet := range strings.Fields(string(out)) {
		base := path.Base(applet)
		if !a.has("/usr/bin/"+base) && !a.has("/usr/sbin/"+base) {
			a.symlink("/usr/bin/"+base, "busybox")
		}
	}
	return nil
}

// underUsr returns where a path of the host is on a machine where /bin, /lib
// and so on are links into /usr, as in the guest.
func underUsr(name string) string {
	if strings.HasPrefix(name, "/usr/") {
		return name
	}
	return path.Join("/usr", name)
}
