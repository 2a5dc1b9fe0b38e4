package kernel

import "strings"

// Flavours of a kernel, in its name behind its line: 6.12-rt. Without one it is
// Debian's smallest for virtual machines.
const (
	generic  = "generic"   // for any machine
	realTime = "rt"        // PREEMPT_RT
	pages16K = "arm64-16k" // pages of 16 KiB
)

// flavour ends the names of the kernel's packages.
func (s source) flavour() string {
	switch {
	case strings.HasSuffix(s.name, "-"+generic):
		return "-amd64"
	case strings.HasSuffix(s.name, "-"+realTime):
		return "-rt-amd64"
	case strings.HasSuffix(s.name, "-"+pages16K):
		return "-" + pages16K
	case strings.HasSuffix(s.name, "-"+ARM64):
		return "-cloud-arm64"
	}
	return "-cloud-amd64"
}

// isOther reports whether a release without its flavour still has one: -amd64 ends
// the releases of all flavours.
func isOther(release string) bool {
	return strings.HasSuffix(release, "-cloud") || strings.HasSuffix(release, "-rt")
}

// withFlavours returns the line in all its flavours.
func (s source) withFlavours() []source {
	out := []source{s}
	for _, f := range []string{generic, realTime, ARM64, pages16K} {
		other := s
		other.name += "-" + f
		if other.name == "5.10-"+ARM64 {
			// The security archive lists newer ones, but has no files of theirs.
			other.suites = []string{"bullseye"}
		}
		out = append(out, other)
	}
	return out
}
