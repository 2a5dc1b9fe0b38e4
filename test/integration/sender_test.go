package integration

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSender: what a task sends is its own. What the kernel answers in the softirq
// that the task's packet raised is not, though it may run on the task's stack.
func TestSender(t *testing.T) {
	const sent, answered = 4201, 4202
	s := ruleset{"nft", "table ip a {\n chain out { type filter hook output priority 0\n" +
		"udp dport 4201 counter drop\n tcp sport 4202 counter drop\n }\n}"}
	l, trace := traceOne(t, s)
	loopback := func(port int) unix.Sockaddr { return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}} }
	within(t, l.host, func() error {
		server, err1 := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		client, err2 := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		sender, err3 := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		for _, fd := range []int{server, client, sender} {
			defer unix.Close(fd)
		}
		if err := errors.Join(err1, err2, err3, unix.Bind(server, loopback(answered)), unix.Listen(server, 1)); err != nil {
			return err
		}
		if err := unix.Connect(client, loopback(answered)); !errors.Is(err, unix.EINPROGRESS) {
			return err
		}
		if err := unix.Sendto(sender, nil, 0, loopback(sent)); !errors.Is(err, unix.EPERM) {
			return err
		}
		return nil
	})
	counted(t, l, s, 2)
	drops := of(trace.stop(t), l.host)
	if own := to(drops, sent); len(own) != 1 || own[0].Process == nil || own[0].Process.PID != os.Getpid() {
		t.Errorf("want one datagram, sent by %d:\n%s", os.Getpid(), show(own))
	}
	answers := 0
	for _, d := range drops {
		if d.Packet.SourcePort == nil || *d.Packet.SourcePort != answered {
			continue
		}
		answers++
		if d.Process != nil {
			t.Errorf("the kernel's own answer, and a process:\n%s", show(drops))
		}
	}
	if answers == 0 {
		t.Errorf("no answer was dropped:\n%s", show(drops))
	}
}
