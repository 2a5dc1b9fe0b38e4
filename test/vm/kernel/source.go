package kernel

import (
	"fmt"
	"strings"
)

// flavour is Debian's smallest kernel for virtual machines.
const flavour = "-cloud-amd64"

// A source tells where Debian keeps a line of kernels.
type source struct {
	name   string
	suites []string
	// An image package is called image, release, flavour; the release begins
	// with release. Debian splits the newest kernels: their modules are in a
	// package of their own, called modules, release, flavour.
	image, release, modules string
}

// sources lists the kernels that can be booted, oldest first.
func sources() []source {
	return []source{
		{
			name:    "5.10",
			suites:  []string{"bullseye", "bullseye-security"},
			image:   "linux-image-",
			release: "5.10.0-",
		},
		{
			name:    "6.1",
			suites:  []string{"bookworm", "bookworm-security"},
			image:   "linux-image-",
			release: "6.1.0-",
		},
		{
			// The security archive has the newest ones, backports only older ones.
			name:    "6.12",
			suites:  []string{"bookworm-backports", "bookworm-security"},
			image:   "linux-image-",
			release: "6.12.",
		},
		{
			name:    "newest",
			suites:  []string{"sid"},
			image:   "linux-binary-",
			modules: "linux-modules-",
		},
	}
}

// Names lists the kernels that can be asked for, oldest first.
func Names() []string {
	var names []string
	for _, s := range sources() {
		names = append(names, s.name)
	}
	return names
}

func sourceOf(name string) (source, error) {
	for _, s := range sources() {
		if s.name == name {
			return s, nil
		}
	}
	return source{}, fmt.Errorf("no kernel %q: choose from %s", name, strings.Join(Names(), ", "))
}

// releaseOf returns what `uname -r` says in the kernel of an image package,
// or false for any other package.
func (s source) releaseOf(pkg string) (string, bool) {
	release, ok := strings.CutPrefix(pkg, s.image)
	if !ok || !strings.HasPrefix(release, s.release) || !strings.HasSuffix(release, flavour) {
		return "", false
	}
	// Meta packages and unsigned images begin with a word.
	if !isDigit(rune(release[0])) {
		return "", false
	}
	return release, true
}

// wants reports whether a package may be part of a kernel.
func (s source) wants(pkg string) bool {
	if s.modules != "" && strings.HasPrefix(pkg, s.modules) {
		return true
	}
	_, ok := s.releaseOf(pkg)
	return ok
}

// newest returns the packages that make up the newest whole kernel on offer,
// the image first. Images and modules are uploaded at different times, so the
// newest image may have no modules yet.
func (s source) newest(offered []debPackage) ([]debPackage, error) {
	has := make(map[debPackage]bool, len(offered))
	for _, p := range offered {
		has[p] = true
	}
	var best []debPackage
	for _, p := range offered {
		release, ok := s.releaseOf(p.name)
		if !ok {
			continue
		}
		parts := []debPackage{p}
		if s.modules != "" {
			modules := debPackage{name: s.modules + release, version: p.version}
			if !has[modules] {
				continue
			}
			parts = append(parts, modules)
		}
		if best == nil || newer(p, best[0]) {
			best = parts
		}
	}
	if best == nil {
		return nil, fmt.Errorf("no %s%s*%s in %s", s.image, s.release, flavour, strings.Join(s.suites, ", "))
	}
	return best, nil
}

func newer(a, b debPackage) bool {
	if c := compareVersions(a.version, b.version); c != 0 {
		return c > 0
	}
	return compareVersions(a.name, b.name) > 0
}
