package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// privilege is a capability that droptrace uses.
type privilege struct {
	number int
	name   string
}

// privileges are what the live command needs, by linux/capability.h. Before 5.8
// CAP_SYS_ADMIN stood for CAP_BPF and CAP_PERFMON, and it still does.
func privileges() []privilege {
	return []privilege{
		{unix.CAP_BPF, "CAP_BPF"},
		{unix.CAP_PERFMON, "CAP_PERFMON"},
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
		{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
		{unix.CAP_SYSLOG, "CAP_SYSLOG"},
	}
}

// missingPrivileges names those that the calling thread has not.
func missingPrivileges() ([]string, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil, fmt.Errorf("read own capabilities: %w", err)
	}
	var missing []string
	for _, p := range privileges() {
		if data[p.number/32].Effective&(1<<(p.number%32)) == 0 {
			missing = append(missing, p.name)
		}
	}
	return missing, nil
}
