package kernel

import (
	"fmt"
	"strings"
)

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
			// Its modules describe types twice, as those of 6.16 and 6.18 do.
			name:    "6.17",
			suites:  []string{"trixie-backports"},
			image:   "linux-image-",
			release: "6.17.",
		},
		{
			name:    "7.2",
			suites:  []string{"sid", "forky", "trixie-backports"},
			image:   "linux-binary-",
			release: "7.2.",
			modules: "linux-modules-",
		},
		{
			name:    "7.3",
			suites:  []string{"trixie-backports"},
			image:   "linux-binary-",
			release: "7.3.",
			modules: "linux-modules-",
		},
		{
			// A suite may have an older one than another: sid's is at times behind backports'.
			name:    "newest",
			suites:  []string{"sid", "forky", "trixie-backports"},
			image:   "linux-binary-",
			modules: "linux-modules-",
		},
	}
}

// Names lists the kernels that tests are run on, oldest first: each line once, and
// one of them in its other flavours; then those of arm64.
func Names() []string {
	var names []string
	for _, s := range sources() {
		names = append(names, s.name)
		if s.name == "6.12" {
			names = append(names, s.name+"-"+generic, s.name+"-"+realTime)
		}
	}
	for _, line := range []string{"5.10", "6.1", "6.12", "newest"} {
		names = append(names, line+"-"+ARM64)
	}
	return append(names, "6.12-"+pages16K)
}

// Check says what can be asked for where name cannot.
func Check(name string) error {
	_, err := sourceOf(name)
	return err
}

func sourceOf(name string) (source, error) {
	for _, line := range sources() {
		for _, s := range line.withFlavours() {
			if s.name == name {
				return s, nil
			}
		}
	}
	return source{}, fmt.Errorf("no kernel %q: want one of %s, the lines also with -%s",
		name, strings.Join(Names(), ", "), strings.Join([]string{generic, realTime, ARM64, pages16K}, ", -"))
}

// releaseOf returns what `uname -r` says in the kernel of an image package,
// or false for any other package.
func (s source) releaseOf(pkg string) (string, bool) {
	release, ok := strings.CutPrefix(pkg, s.image)
	if !ok || !strings.HasPrefix(release, s.release) || !strings.HasSuffix(release, s.flavour()) {
		return "", false
	}
	// Meta packages and unsigned images begin with a word.
	if !isDigit(rune(release[0])) || isOther(strings.TrimSuffix(release, s.flavour())) {
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
		return nil, fmt.Errorf("no %s%s*%s in %s", s.image, s.release, s.flavour(), strings.Join(s.suites, ", "))
	}
	return best, nil
}

func newer(a, b debPackage) bool {
	if c := compareVersions(a.version, b.version); c != 0 {
		return c > 0
	}
	return compareVersions(a.name, b.name) > 0
}
