package integration

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

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

// tcpStates are those of the connections in a namespace, of /proc/net/tcp and tcp6.
func tcpStates(t *testing.T, ns string) (states []int) {
	t.Helper()
	within(t, ns, func() error {
		for _, file := range []string{"tcp", "tcp6"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(b)) {
				f := strings.Fields(line)
				if state, err := strconv.ParseInt(f[3], 16, 32); err == nil {
					states = append(states, int(state))
				}
			}
		}
		return nil
	})
	return states
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
	for range 6 {
		before := netstat(t, l.host, "ListenDrops")
		within(t, l.client, func() error {
			_, to := address(hostIP, port)
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			clients = append(clients, fd)
			if err := unix.Connect(fd, to); err != unix.EINPROGRESS {
				return err
			}
			return nil
		})
		// One after the other: the queue has taken it, or not.
		eventually(t, "a SYN is answered or refused", func() bool {
			_, err := unix.Getpeername(clients[len(clients)-1])
			return err == nil || netstat(t, l.host, "ListenDrops") > before
		})
	}
	eventually(t, "SYNs are refused", func() bool { return netstat(t, l.host, "ListenDrops") >= 4 })
	for _, fd := range clients {
		unix.Close(fd) // no more SYNs
	}
	refused := func() int { return netstat(t, l.host, "ListenDrops") }
	eventually(t, "all SYNs refused are told", func() bool {
		return len(withCode(r.told(t), "accept-queue-full")) == refused()
	})
	got := 0
	drops := r.stop(t)
	want := refused()
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
