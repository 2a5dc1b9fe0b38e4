package program

import "golang.org/x/sys/unix"

// Missing names the parts of the cage that this process cannot give to the programs
// that it runs, and why; nil where it is whole.
func Missing() (parts []string) {
	held, err := effective()
	if err != nil || !otherUser(held) {
		parts = append(parts, "programs run as this user: making them nobody needs CAP_SETUID, CAP_SETGID and CAP_KILL, and a user namespace that has it")
	}
	if held>>unix.CAP_NET_ADMIN&1 == 0 || held>>unix.CAP_NET_RAW&1 == 0 {
		parts = append(parts, "programs cannot list rules: that needs CAP_NET_ADMIN and CAP_NET_RAW")
	}
	if landlockVersion() == 0 {
		parts = append(parts, "programs may read what their user may: the kernel has no Landlock (5.13), or it is not among its lsm=")
	}
	if !filtersCalls() {
		parts = append(parts, "programs may connect to services of this machine that root's group may: the kernel has no seccomp filters, or this architecture none here")
	}
	return parts
}
