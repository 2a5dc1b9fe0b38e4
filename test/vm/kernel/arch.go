package kernel

import (
	"slices"
	"strings"
)

// Architectures by the names that Debian gives them.
const (
	AMD64 = "amd64"
	ARM64 = "arm64"
)

// Arch is the architecture of the kernel.
func (k Kernel) Arch() string { return archOf(k.Name) }

// archOf tells a kernel's architecture by its name: those of arm64 say so.
func archOf(name string) string {
	if slices.Contains(strings.Split(name, "-"), ARM64) {
		return ARM64
	}
	return AMD64
}
