package qemu

// A platform is what QEMU and the kernel call the parts of a machine.
type platform struct {
	program string
	machine []string // arguments that make the board
	cpu     string   // the model that can do most
	console string   // the first serial port
	control string   // the second
	wire    []string // arguments that lead the second to the chardev "control"
}

func platformOf(arch string) platform {
	if arch == "arm64" {
		return platform{
			program: "qemu-system-aarch64",
			machine: []string{"-machine", "virt,gic-version=3"},
			// The architecture's own algorithm of pointer authentication makes
			// emulation several times slower.
			cpu:     "max,pauth-impdef=on",
			console: "ttyAMA0",
			control: "ttyS0", // the board has but one port
			wire:    []string{"-device", "pci-serial,chardev=control"},
		}
	}
	return platform{
		program: "qemu-system-x86_64",
		cpu:     "max",
		console: "ttyS0",
		control: "ttyS1",
		wire:    []string{"-serial", "chardev:control"},
	}
}
