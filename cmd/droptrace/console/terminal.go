// Package console is what all commands share towards people: flags and their
// values, usage, messages and exit codes, signals, and the terminal.
package console

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
)

// Terminal is what connects droptrace to people and pipes.
type Terminal struct {
	Stdout, Stderr *os.File
	Getenv         func(string) string
	Zone           *time.Location
}

// SystemTerminal is that of the process.
func SystemTerminal() Terminal {
	return Terminal{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Zone: time.Local}
}

// Width returns the columns of the terminal behind f, and whether it is one. A
// terminal that does not know its width (a serial line) has 0.
func Width(f *os.File) (columns int, ok bool) {
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

// Rows is the terminal's height, 0 where it is not known.
func Rows(f *os.File) (n int) {
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

// Style asks f itself: standard output may be a pipe while standard error is not.
func (t Terminal) Style(f *os.File) output.Style {
	columns, ok := Width(f)
	return output.Style{
		Width: columns,
		Color: ok && !t.Dumb() && t.Getenv("NO_COLOR") == "",
		ASCII: !Utf8Locale(t.Getenv),
	}
}

// Dumb reports whether escape sequences would be printed, not obeyed.
func (t Terminal) Dumb() bool {
	term := t.Getenv("TERM")
	return term == "" || term == "dumb"
}

// Utf8Locale looks at the first of the variables that is set, as setlocale does.
func Utf8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// HungUp reports whether nobody reads f any more: a pipe tells that before the
// next write does.
func HungUp(f *os.File) bool {
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
