package integration

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Retransmissions are sent by a timer, over whatever runs then: they are not of that.
func TestTimersSendForTheSocketsHolder(t *testing.T) {
	l := newLab(t)
	nft(`table ip t { chain o { type filter hook output priority 0; tcp dport { 8098, 8099 } counter drop; }; }`)[0].load(t, l.host)
	l.ready(t)
	trace := start(t, []*lab{l}, "--dport", "8098,8099", "--no-why")
	busy(t)
	alone := connecting(t, l.host, 8099)
	defer alone.Close()
	shared := connecting(t, l.host, 8098)
	defer shared.Close()
	sharer := holding(t, shared)
	eventually(t, "both connections are tried again", func() bool {
		drops := trace.told(t)
		return len(to(drops, 8098)) >= 3 && len(to(drops, 8099)) >= 3
	})
	drops := trace.stop(t)
	for _, d := range to(drops, 8099) {
		if d.Process == nil || d.Process.PID != os.Getpid() || d.Socket == nil || d.Socket.Role != drop.Sender {
			t.Errorf("not of this process (%d):\n%s", os.Getpid(), show([]drop.Drop{d}))
		}
	}
	own := to(drops, 8098)
	if p := own[0].Process; p == nil || p.PID != os.Getpid() {
		t.Errorf("the first is in this process's own call:\n%s", show(own[:1]))
	}
	for _, d := range own[1:] {
		if d.Process != nil || !heldBy(d.Socket, os.Getpid(), sharer) {
			t.Errorf("of two holders, %d and %d:\n%s", os.Getpid(), sharer, show([]drop.Drop{d}))
		}
	}
}

// What a tun device brings is handled in the call of whoever writes to it: that is not
// who answers.
func TestWriterOfATunDeviceIsNoSender(t *testing.T) {
	l := newLab(t)
	nft(`table ip t { chain o { type filter hook output priority 0; tcp sport 8097 counter drop; }; }`)[0].load(t, l.host)
	l.ready(t)
	trace := start(t, []*lab{l}, "--sport", "8097", "--no-why")
	var tun, listener *os.File
	within(t, l.host, func() (err error) {
		if tun, err = openTun("tun0", unix.IFF_TUN); err != nil {
			return err
		}
		listener, err = listen(8097)
		return err
	})
	defer tun.Close()
	configure(t, l.host, "link set tun0 up\naddr add 203.0.113.1/24 dev tun0\n")
	holder := holding(t, listener)
	listener.Close()
	if _, err := tun.Write(synSegment("203.0.113.9", "203.0.113.1", 8097)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer is dropped", func() bool { return len(trace.told(t)) > 0 })
	for _, d := range trace.stop(t) {
		if d.Process == nil || d.Process.PID != holder {
			t.Errorf("not of the listener's holder (%d):\n%s", holder, show([]drop.Drop{d}))
		}
	}
}

// connected is a connection from the client to a port of the host: the client's socket,
// and the one that the host accepted.
func connected(t *testing.T, l *lab, port uint16) (client *os.File, accepted int) {
	t.Helper()
	var listener *os.File
	within(t, l.host, func() (err error) {
		listener, err = listen(port)
		return err
	})
	t.Cleanup(func() { listener.Close() })
	client = connecting(t, l.client, port)
	t.Cleanup(func() { client.Close() })
	eventually(t, "a connection", func() bool {
		fd, _, err := unix.Accept4(int(listener.Fd()), unix.SOCK_CLOEXEC)
		accepted = fd
		return err == nil
	})
	t.Cleanup(func() { unix.Close(accepted) })
	return client, accepted
}

func TestReceiverIsNamed(t *testing.T) {
	l := newLab(t)
	l.ready(t)
	client, _ := connected(t, l, 8096)
	nft(`table ip t { chain i { type filter hook input priority 0; tcp dport 8096 counter drop; }; }`)[0].load(t, l.host)
	trace := start(t, []*lab{l}, "--dport", "8096", "--no-why")
	if _, err := unix.Write(int(client.Fd()), []byte("data")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the data are dropped", func() bool { return len(trace.told(t)) > 0 })
	for _, d := range trace.stop(t) {
		if d.Process != nil || d.Socket == nil || d.Socket.Role != drop.Receiver || !heldBy(d.Socket, os.Getpid()) {
			t.Errorf("not for this process (%d):\n%s", os.Getpid(), show([]drop.Drop{d}))
		}
	}
}

func heldBy(s *drop.Socket, pids ...int) bool {
	if s == nil || len(s.Processes) != len(pids) {
		return false
	}
	for _, pid := range pids {
		found := false
		for _, p := range s.Processes {
			found = found || p.PID == pid
		}
		if !found {
			return false
		}
	}
	return true
}

// busy keeps every CPU in user mode until the test ends.
func busy(t *testing.T) {
	t.Helper()
	for range runtime.NumCPU() {
		running(t, exec.Command("sh", "-c", "while :; do :; done"))
	}
}

// holding starts a process that has the socket open, too.
func holding(t *testing.T, f *os.File) (pid int) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.ExtraFiles = []*os.File{f}
	return running(t, cmd)
}

func running(t *testing.T, cmd *exec.Cmd) (pid int) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// connecting is a socket that tries to reach the port of the other end of eth0.
func connecting(t *testing.T, ns string, port uint16) *os.File {
	t.Helper()
	to := hostIP
	if len(ns) == len("dt00000000") {
		to = clientIP
	}
	var fd int
	within(t, ns, func() (err error) {
		domain, address := address(to, port)
		if fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err = unix.Connect(fd, address); errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
		return err
	})
	return os.NewFile(uintptr(fd), "socket")
}

// listen is to be called in the socket's namespace.
func listen(port uint16) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(port)}); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "listener"), unix.Listen(fd, 8)
}

func openTun(name string, flags uint16) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	request.SetUint16(flags | unix.IFF_NO_PI)
	return os.NewFile(uintptr(fd), name), unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
}

// synSegment is an IPv4 packet with its checksums.
func synSegment(from, to string, port uint16) []byte {
	src, dst := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	ip := []byte{0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0}
	ip = append(append(ip, src[:]...), dst[:]...)
	sum := checksum(ip)
	ip[10], ip[11] = byte(sum>>8), byte(sum)
	tcp := []byte{0x30, 0x39, byte(port >> 8), byte(port), 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0}
	pseudo := append(append(append(src[:], dst[:]...), 0, 6, 0, 20), tcp...)
	sum = checksum(pseudo)
	tcp[16], tcp[17] = byte(sum>>8), byte(sum)
	return append(ip, tcp...)
}

// checksum is that of IP and TCP, of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
