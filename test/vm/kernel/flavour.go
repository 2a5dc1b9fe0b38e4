package kernel

import "strings"

// realtime ends the names of kernels with PREEMPT_RT.
const realtime = "-rt"

// flavour ends the names of the kernel's packages: Debian's smallest for virtual
// machines, which has no real-time one.
func (s source) flavour() string {
	if strings.HasSuffix(s.name, realtime) {
		return "-rt-amd64"
	}
	return "-cloud-amd64"
}
