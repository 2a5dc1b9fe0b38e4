package tracer

import (
	"fmt"
	"math/bits"
	"os"
	"runtime"

	"github.com/cilium/ebpf"
)

// setProcessorConstants tells the kernel side what of a stack differs from one
// kernel of this architecture to another, where there is such.
func setProcessorConstants(coll *ebpf.CollectionSpec, symbols Symbols) error {
	for name, value := range map[string]uint64{
		"return_bits": ownReturnBits(symbols),
		"stack_size":  stackSize(os.Getpagesize()),
	} {
		v, ok := coll.Variables[name]
		if !ok {
			continue // the architecture leaves no choice
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("constant %s: %w", name, err)
		}
	}
	return nil
}

// stackSize returns arm64's THREAD_SIZE in bytes (arch/arm64/include/asm/memory.h):
// 16 KiB, but no less than a page.
func stackSize(page int) uint64 { return uint64(max(16<<10, page)) }

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
