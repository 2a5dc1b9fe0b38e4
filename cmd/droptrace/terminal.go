package main

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
)

// terminal is what connects droptrace to people and pipes.
type terminal struct {
	stdout, stderr *os.File
	getenv         func(string) string
	zone           *time.Location
}

func systemTerminal() terminal {
	return terminal{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, zone: time.Local}
}

// width returns the columns of the terminal behind f, and whether it is one. A
// terminal that does not know its width (a serial line) has 0.
func width(f *os.File) (columns int, ok bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	var size *unix.Winsize
	// Fd would switch the file to blocking mode; Control does not.
	if cerr := conn.Control(func(fd uintptr) { size, err = unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ) }); cerr != nil || err != nil {
		return 0, false
	}
	return int(size.Col), true
}

// rows is the terminal's height, 0 where it is not known.
func rows(f *os.File) (n int) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = conn.Control(func(fd uintptr) {
		if size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); err == nil {
			n = int(size.Row)
		}
	})
	return n
}

// style asks f itself: standard output may be a pipe while standard error is not.
func (t terminal) style(f *os.File) output.Style {
	columns, ok := width(f)
	return output.Style{
		Width: columns,
		Color: ok && !t.dumb() && t.getenv("NO_COLOR") == "",
		ASCII: !utf8Locale(t.getenv),
	}
}

// dumb reports whether escape sequences would be printed, not obeyed.
func (t terminal) dumb() bool {
	term := t.getenv("TERM")
	return term == "" || term == "dumb"
}

// utf8Locale looks at the first of the variables that is set, as setlocale does.
func utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// hungUp reports whether nobody reads f any more: a pipe tells that before the
// next write does.
func hungUp(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var fds []unix.PollFd
	err = conn.Control(func(fd uintptr) {
		fds = []unix.PollFd{{Fd: int32(fd)}}
		_, _ = unix.Poll(fds, 0)
	})
	return err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}
