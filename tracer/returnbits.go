package tracer

import (
	"math/bits"
	"runtime"
)

// leastAddressBits is the smallest address space that arm64 kernels are built with
// (CONFIG_ARM64_VA_BITS_36).
const leastAddressBits = 36

// returnBits returns those bits of a return address that the stack holds as they
// are: all, but where arm64 CPUs sign it (CONFIG_ARM64_PTR_AUTH_KERNEL). The
// signature takes the bits above the kernel's address space without bit 55, which
// tells kernel and user (Arm ARM, "PAC field"). How wide that space is nothing tells,
// but it is no narrower than where the kernel's code begins, in its upper half: the
// bits below the leading ones of that address are no signature.
func returnBits(architecture string, textStart uint64) uint64 {
	if architecture != "arm64" {
		return ^uint64(0)
	}
	address := max(bits.Len64(^textStart), leastAddressBits)
	return 1<<55 | (1<<address - 1)
}

// ownReturnBits are those of the running kernel.
func ownReturnBits(symbols Symbols) uint64 {
	start, _ := symbols.Text()
	return returnBits(runtime.GOARCH, start)
}
