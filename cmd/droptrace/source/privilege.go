package source

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// privilege is a capability that droptrace uses.
type privilege struct {
	number uint
	name   string
}

// privileges are what the live command needs, by linux/capability.h, also once it is
// attached. Before 5.8 CAP_SYS_ADMIN stood for CAP_BPF and CAP_PERFMON, and it still
// does; before 5.11 loading programs takes CAP_SYS_RESOURCE, too.
func privileges() []privilege {
	return []privilege{
		{unix.CAP_BPF, "CAP_BPF"}, // programs for modules that come late
		{unix.CAP_PERFMON, "CAP_PERFMON"},
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},             // nft's rules, and iptables' by getsockopt
		{unix.CAP_NET_RAW, "CAP_NET_RAW"},                 // iptables-save's raw socket
		{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},             // entering namespaces; BTF of modules
		{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},           // /proc/PID/ns of others
		{unix.CAP_SYSLOG, "CAP_SYSLOG"},                   // kernel addresses, read again for such modules
		{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"}, // directories of others
		// Without these three programs run as this user: see package program.
		{unix.CAP_SETUID, "CAP_SETUID"},
		{unix.CAP_SETGID, "CAP_SETGID"},
		{unix.CAP_KILL, "CAP_KILL"},
	}
}

// MissingPrivileges names those that the calling thread has not.
func MissingPrivileges() ([]string, error) {
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
