package initramfs

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A linker finds the shared libraries of the host's programs. It reads the
// files rather than run ldd, which takes a second for all of them.
type linker struct {
	paths map[string]string // of the host's libraries, by name
	found map[string]bool   // paths of the libraries that are needed
}

func newLinker() (*linker, error) {
	// Not in the PATH of users other than root.
	out, err := exec.Command("/sbin/ldconfig", "-p").Output()
	if err != nil {
		return nil, fmt.Errorf("list shared libraries: %w", err)
	}
	return &linker{paths: parseLibraries(string(out)), found: make(map[string]bool)}, nil
}

// parseLibraries reads lines of `name (kind) => path`.
func parseLibraries(out string) map[string]string {
	paths := make(map[string]string)
	for line := range strings.Lines(out) {
		left, path, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if !ok || !strings.Contains(left, "x86-64") {
			continue
		}
		name, _, _ := strings.Cut(left, " ")
		// The dynamic linker, too, takes the first.
		if _, ok := paths[name]; !ok {
			paths[name] = path
		}
	}
	return paths
}

// add looks up what a program or a library needs. A file that is no ELF file,
// as a script, needs nothing.
func (l *linker) add(file string) error {
	f, err := elf.Open(file)
	var format *elf.FormatError
	if errors.As(err, &format) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		interp := make([]byte, p.Filesz)
		if _, err := p.ReadAt(interp, 0); err != nil {
			return fmt.Errorf("read the interpreter of %s: %w", file, err)
		}
		l.found[strings.TrimRight(string(interp), "\x00")] = true
	}
	names, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read the libraries of %s: %w", file, err)
	}
	for _, name := range names {
		path, ok := l.paths[name]
		if !ok {
			return fmt.Errorf("%s needs %s: %w", file, name, os.ErrNotExist)
		}
		if l.found[path] {
			continue
		}
		l.found[path] = true
		if err := l.add(path); err != nil {
			return err
		}
	}
	return nil
}

// addNamed looks up a library that programs load at run time, if there is one.
func (l *linker) addNamed(name string) error {
	path, ok := l.paths[name]
	if !ok {
		return nil
	}
	l.found[path] = true
	return l.add(path)
}

// libraries lists what is needed by all that was added.
func (l *linker) libraries() []string {
	var paths []string
	for path := range l.found {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}
