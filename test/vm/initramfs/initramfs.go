// Package initramfs packs what a test guest runs: programs of the host, kernel
// modules, and files of the caller's.
package initramfs

import (
	_ "embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

//go:embed init.sh
var initScript string

// A File of the host and its place in the guest. A folder is taken with all
// that is in it.
type File struct {
	Host, Guest string
}

// ParseFile reads `host` or `host:guest`. Without a place, a file goes to the
// root folder, in which the command is run.
func ParseFile(s string) (File, error) {
	host, guest, ok := strings.Cut(s, ":")
	if host == "" || ok && !path.IsAbs(guest) {
		return File{}, fmt.Errorf("file %q: want host or host:/guest", s)
	}
	if !ok {
		guest = "/" + filepath.Base(host)
	}
	return File{Host: host, Guest: path.Clean(guest)}, nil
}

// Write writes an initramfs whose /init runs a command. Its programs are those
// of the folder userland, of this machine where that is empty. It is not compressed:
// a guest without hardware acceleration is slow to undo that.
func Write(w io.Writer, userland, modules string, files []File, command []string) error {
	a := newArchive(w)
	a.data("/init", 0o755, initScript)
	a.data("/command", 0o644, "exec "+quote(command)+"\n")
	for _, name := range []string{"/dev", "/proc", "/root", "/run", "/sys", "/tmp", "/var"} {
		a.dir(name)
	}
	a.symlink("/var/run", "/run")
	if err := addPrograms(a, userland); err != nil {
		return fmt.Errorf("collect programs: %w", err)
	}
	addConfig(a)
	if err := addTree(a, "/usr/lib/modules", modules); err != nil {
		return fmt.Errorf("add modules: %w", err)
	}
	for _, f := range files {
		if err := addTree(a, f.Guest, f.Host); err != nil {
			return fmt.Errorf("add file: %w", err)
		}
	}
	if err := a.close(); err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	return nil
}

func addPrograms(a *archive, userland string) error {
	if userland == "" {
		return addUserland(a)
	}
	if err := addTree(a, "/", userland); err != nil {
		return err
	}
	return addApplets(a)
}

// addConfig adds the files of /etc that programs read.
func addConfig(a *archive) {
	a.data("/etc/passwd", 0o644, strings.Join([]string{
		"root:x:0:0:root:/root:/bin/sh",
		"tcpdump:x:100:100::/:/bin/false", // whom tcpdump becomes
		"nobody:x:65534:65534:nobody:/:/bin/false",
		"",
	}, "\n"))
	a.data("/etc/group", 0o644, "root:x:0:\ntcpdump:x:100:\nnogroup:x:65534:\n")
	a.data("/etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost\n")
	a.data("/etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files\nprotocols: files\nservices: files\n")
	for _, name := range []string{"/etc/protocols", "/etc/services", "/etc/ethertypes", "/etc/iproute2/rt_tables"} {
		if _, err := os.Stat(name); err == nil {
			a.copy(name, name)
		}
	}
}

// addTree adds a file, or a folder with all that is in it.
func addTree(a *archive, guest, host string) error {
	return filepath.WalkDir(host, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(host, file)
		if err != nil {
			return err
		}
		name := path.Join(guest, filepath.ToSlash(rel))
		switch {
		case d.IsDir():
			a.dir(name)
		case d.Type() == fs.ModeSymlink && file != host:
			target, err := os.Readlink(file)
			if err != nil {
				return err
			}
			a.symlink(name, target)
		default:
			a.copy(name, file)
		}
		return a.err
	})
}

// quote spells arguments so that a shell reads them as they are.
func quote(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
