package live

import (
	"strings"

	"golang.org/x/sys/unix"
)

// realtime reports whether the kernel is PREEMPT_RT: its version says so
// ("#1 SMP PREEMPT_RT Debian 6.12.117-1").
func realtime() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return true // the more careful answer
	}
	return strings.Contains(unix.ByteSliceToString(u.Version[:]), "PREEMPT_RT")
}
