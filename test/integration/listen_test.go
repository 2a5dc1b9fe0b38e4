package integration

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// netstat reads a counter of TcpExt in a namespace.
func netstat(t *testing.T, ns, name string) int {
	t.Helper()
	return mib(t, ns, "netstat", "TcpExt:", name)
}

// mib reads a counter of a group in /proc/net/snmp or netstat, whose first line has
// the names and whose second the values.
func mib(t *testing.T, ns, file, group, name string) (value int) {
	t.Helper()
	within(t, ns, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/" + file)
		if err != nil {
			return err
		}
		var names []string
		for line := range strings.Lines(string(b)) {
			switch f := strings.Fields(line); {
			case f[0] != group:
			case names == nil:
				names = f
			case slices.Contains(names, name):
				value, err = strconv.Atoi(f[slices.Index(names, name)])
			}
		}
		return err
	})
	return value
}

// TestGuestAcceptQueueOverflow: a program that listens and accepts nothing. The SYNs
// that come when its queue is full end in consume_skb.
func TestGuestAcceptQueueOverflow(t *testing.T) {
	guest(t) // needs fentry or kprobes, which every guest has
	if plan() == "tracepoint" {
		return
	}
	l := newLab(t)
	l.ready(t)
	const port, backlog = 8000, 1
	var listener int
	within(t, l.host, func() (err error) {
		if listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.Bind(listener, &unix.SockaddrInet4{Port: port}); err != nil {
			return err
		}
		return unix.Listen(listener, backlog)
	})
	defer unix.Close(listener)
	r := start(t, []*lab{l}, "--port", strconv.Itoa(port))
	var clients []int
	within(t, l.client, func() error {
		_, to := address(hostIP, port)
		for range 6 {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			clients = append(clients, fd)
			if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
				return err
			}
			time.Sleep(100 * time.Millisecond) // one after the other
		}
		return nil
	})
	eventually(t, "SYNs are refused", func() bool { return netstat(t, l.host, "ListenDrops") >= 4 })
	for _, fd := range clients {
		unix.Close(fd) // no more SYNs
	}
	time.Sleep(200 * time.Millisecond)
	want := netstat(t, l.host, "ListenDrops")
	got := 0
	drops := r.stop(t)
	for _, d := range drops {
		if len(d.Why) == 1 && d.Why[0].Code == "accept-queue-full" {
			got++
			if !strings.Contains(d.Why[0].Message, "limit is "+strconv.Itoa(backlog)) || d.Netns.Name != l.host {
				t.Errorf("%+v in %+v", d.Why[0], d.Netns)
			}
		}
	}
	if got != want {
		t.Errorf("%d SYNs told, the kernel counted %d\n%s", got, want, show(drops))
	}
}
