package source

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// needed are the capabilities that tracing still uses once it is attached. Where it
// records, the file, or the next one, may be another user's.
func needed(records bool) []uint {
	var list []uint
	for _, p := range privileges() {
		list = append(list, p.number)
	}
	if records {
		list = append(list, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER) // to write it, and to close it to others
	}
	return list
}

// dropPrivileges leaves the process with no capability but those of needed that
// it has, for good: a program that it runs cannot have more either.
//
// Capabilities belong to threads, hence AllThreadsSyscall, which must not be used
// beside cgo.
func dropPrivileges(records bool) error {
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		return fmt.Errorf("set no_new_privs: %w", e)
	}
	keep := mask(needed(records))
	// What is not in the bounding set no program gets by being root's. Without
	// CAP_SETPCAP there is nothing to be rid of: no_new_privs holds.
	for c := uint(0); c <= lastCapability(); c++ {
		if keep>>c&1 != 0 {
			continue
		}
		_, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0, 0)
		if e != 0 && !errors.Is(e, unix.EPERM) {
			return fmt.Errorf("drop capability %d from the bounding set: %w", c, e)
		}
	}
	return limitCapabilities(keep)
}

// limitCapabilities takes away what is not in keep, a bit for each capability.
func limitCapabilities(keep uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // the low and the high 32 bits
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	for i := range sets {
		bits := uint32(keep >> (32 * i))
		sets[i].Effective &= bits
		sets[i].Permitted &= bits
		sets[i].Inheritable &= bits
	}
	_, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets[0])), 0)
	if e != 0 {
		return fmt.Errorf("drop capabilities: %w", e)
	}
	return nil
}

func mask(capabilities []uint) uint64 {
	var m uint64
	for _, c := range capabilities {
		m |= 1 << c
	}
	return m
}

// lastCapability is the highest number that this kernel knows.
func lastCapability() uint {
	var last uint
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err == nil {
		_, err = fmt.Sscan(string(b), &last)
	}
	if err != nil || last > 63 {
		return unix.CAP_LAST_CAP
	}
	return last
}
