package netns

import "golang.org/x/sys/unix"

// OpenAtMost is how many namespaces may be kept open at once, with a socket or two
// in each, so that enough descriptors are left for everything else.
func OpenAtMost() int {
	const most, share = 4096, 4
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1
	}
	return int(max(1, min(most, limit.Cur/share)))
}
