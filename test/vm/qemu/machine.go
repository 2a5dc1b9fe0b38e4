// Package qemu boots guests that run one command and tell how it ended.
package qemu

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
)

// A Machine is what QEMU emulates.
type Machine struct {
	Arch      string   // by Debian's name; empty is amd64
	CPU       string   // QEMU's model; empty is the one that can do most
	Kernel    string   // its image
	Initramfs *os.File // may have been removed: QEMU gets it open
	Append    string   // more parameters of the kernel
	Memory    int      // MiB
	CPUs      int
	// ICount ties the guest's clock to the instructions it executed, so that
	// its nanoseconds count instructions, free of noise.
	ICount bool
}

// File descriptors that QEMU inherits, the first for the guest's second serial
// port.
const (
	controlFD   = 3
	initramfsFD = 4
)

// args returns the arguments of QEMU. /dev/kvm may be there and yet hang a
// guest, so acceleration is never tried.
func (m Machine) args() []string {
	p := platformOf(m.Arch)
	accel, cpus := "tcg,thread=multi", m.CPUs
	if m.ICount {
		// QEMU refuses to count with several threads.
		accel, cpus = "tcg,thread=single", 1
	}
	// An oops ends the guest: a tracer must not cause one and go on.
	// The kernel's tests of its own ciphers take half a second.
	// What it does not know, as control, it gives to /init's environment.
	params := "console=" + p.console + " control=" + p.control + " quiet panic=-1 oops=panic cryptomgr.notests"
	if m.Append != "" {
		params += " " + m.Append
	}
	args := []string{
		"-accel", accel,
		"-cpu", cmp.Or(m.CPU, p.cpu),
		"-m", strconv.Itoa(m.Memory),
		"-smp", strconv.Itoa(cpus),
		"-nodefaults",
		"-display", "none",
		"-no-reboot",
		"-kernel", m.Kernel,
		"-initrd", fmt.Sprintf("/dev/fd/%d", initramfsFD),
		"-append", params,
		"-serial", "stdio",
		"-chardev", fmt.Sprintf("file,id=control,path=/dev/fd/%d", controlFD),
	}
	args = append(append(args, p.machine...), p.wire...)
	if m.ICount {
		args = append(args, "-icount", "shift=0")
	}
	return args
}
