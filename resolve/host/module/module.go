// Package module tells whether a kernel module has to be loaded for something.
package module

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Files is the root directory below which the running kernel says what it is
// made of: "/", or another one in tests.
type Files string

// InKernel reports whether a message to that subsystem would load no module:
// nfnetlink asks modprobe for "nfnetlink-subsys-N" when nobody has registered.
//
// symbol is a function of the module, to be looked for in the kernel image.
func (root Files) InKernel(module, symbol string) (bool, error) {
	switch loaded, err := root.loaded(module); {
	case errors.Is(err, fs.ErrNotExist):
		// CONFIG_MODULES=n: what is not there cannot come. That /proc is
		// there at all is checked, because without it nothing is known.
		if _, err := os.Stat(root.path("proc/self")); err != nil {
			return false, fmt.Errorf("look for module %s: %w", module, err)
		}
		return true, nil
	case err != nil:
		return false, fmt.Errorf("look for module %s: %w", module, err)
	case loaded:
		return true, nil
	}
	// Module loading shut for good (kernel.modules_disabled): asking is safe.
	if b, err := os.ReadFile(root.path("proc/sys/kernel/modules_disabled")); err == nil && string(bytes.TrimSpace(b)) == "1" {
		return true, nil
	}
	// Not a module, then: built in or absent. /sys/module has built-in code
	// only where it has parameters, which nf_tables has not, but BTF knows
	// every function: 5 MB read in about 3 ms. Modules have BTF of their own.
	found, err := contains(root.path("sys/kernel/btf/vmlinux"), "\x00"+symbol+"\x00")
	if err == nil {
		return found, nil
	}
	// kallsyms takes about 50 ms. A module's symbol has "[module]" behind it.
	found, err = contains(root.path("proc/kallsyms"), " "+symbol+"\n")
	if err != nil {
		return false, fmt.Errorf("look for %s in the kernel: %w", symbol, err)
	}
	return found, nil
}

func (root Files) path(name string) string { return filepath.Join(string(root), name) }

// loaded looks into /proc/modules, whose lines begin with the name.
func (root Files) loaded(module string) (bool, error) {
	f, err := os.Open(root.path("proc/modules"))
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, _, _ := strings.Cut(lines.Text(), " "); name == module {
			return true, nil
		}
	}
	return false, lines.Err()
}

// contains searches a file in pieces: sysfs and procfs files have no size and
// are not worth holding.
func contains(path, want string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()

	buf := make([]byte, 256<<10)
	kept := 0 // bytes of the last piece that may begin the string
	for {
		n, err := f.Read(buf[kept:])
		piece := buf[:kept+n]
		if bytes.Contains(piece, []byte(want)) {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		kept = copy(buf, piece[max(0, len(piece)-len(want)+1):])
	}
}
