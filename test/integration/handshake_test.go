package integration

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// noBareACKs keeps the client's handshakes from being finished.
const noBareACKs = `table inet hold {
 chain out { type filter hook output priority 0; tcp flags & (syn | ack | psh) == ack drop; }
}`

// nothing ends all that the client sends.
const nothing = `table inet silence {
 chain out { type filter hook output priority 0; policy drop; }
}`

// handshakes are TCP connections of the client with a socket that listens on the host
// and accepts nothing by itself.
type handshakes struct {
	lab      *lab
	port     uint16
	listener int
	clients  []int
}

const handshakePort = 8000

func newHandshakes(t *testing.T, l *lab, port uint16, backlog int, options ...int) *handshakes {
	t.Helper()
	h := &handshakes{lab: l, port: port}
	within(t, l.host, func() (err error) {
		if h.listener, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		for _, o := range options {
			if err := unix.SetsockoptInt(h.listener, unix.IPPROTO_TCP, o, 5); err != nil {
				return err
			}
		}
		if err := unix.Bind(h.listener, &unix.SockaddrInet6{Port: int(port)}); err != nil {
			return err
		}
		return unix.Listen(h.listener, backlog)
	})
	t.Cleanup(func() {
		for _, fd := range append(h.clients, h.listener) {
			unix.Close(fd)
		}
	})
	return h
}

// connect begins connections and waits until the client takes them for established.
func (h *handshakes) connect(t *testing.T, to string, number int) {
	t.Helper()
	within(t, h.lab.client, func() error {
		for range number {
			family, a := address(to, h.port)
			fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			h.clients = append(h.clients, fd)
			if err := unix.Connect(fd, a); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *handshakes) send(t *testing.T) {
	t.Helper()
	for _, fd := range h.clients {
		if _, err := unix.Write(fd, []byte("x")); err != nil && !errors.Is(err, unix.EPIPE) {
			t.Fatal(err)
		}
	}
}

func withCode(drops []drop.Drop, code string) (list []drop.Drop) {
	for _, d := range drops {
		if len(d.Why) > 0 && d.Why[0].Code == code {
			list = append(list, d)
		}
	}
	return list
}

// TestFullAcceptQueueAtTheLastACK: the handshakes began while there was room. The
// kernel's own count of overflows is the truth.
func TestFullAcceptQueueAtTheLastACK(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	l := newLab(t)
	l.ready(t)
	h := newHandshakes(t, l, handshakePort, 8)
	r := start(t, []*lab{l}, "--port", strconv.Itoa(handshakePort))
	ruleset{"nft", noBareACKs}.load(t, l.client)
	h.connect(t, hostIP, 2)
	h.connect(t, hostIP6, 2)
	if err := unix.Listen(h.listener, 0); err != nil {
		t.Fatal(err)
	}
	command(t, "", "ip", "netns", "exec", l.client, "nft", "flush", "ruleset")
	h.send(t)
	eventually(t, "the accept queue overflows", func() bool { return netstat(t, l.host, "ListenOverflows") >= 6 })
	// A slow machine has no time for the cause of each; the client sends again.
	causes := func(family string) bool {
		return slices.ContainsFunc(withCode(r.told(t), "accept-queue-full"), func(d drop.Drop) bool { return d.Packet.Family == family })
	}
	eventually(t, "both families are told with their cause", func() bool { return causes("ip") && causes("ip6") })
	ruleset{"nft", nothing}.load(t, l.client)
	r.toldAll(t, "overflows", func() int { return netstat(t, l.host, "ListenOverflows") })
	drops := r.stop(t)
	want := netstat(t, l.host, "ListenOverflows")
	if len(drops) != want {
		t.Fatalf("%d drops told, the kernel counted %d overflows\n%s", len(drops), want, show(drops))
	}
	if m := withCode(drops, "accept-queue-full")[0].Why[0].Message; !strings.Contains(m, "tcp 8000 is full: 1 connection waits") {
		t.Error(m)
	}
}

// TestFullAcceptQueueIsItsOwn: that of one port overflows, on the same CPU, and for
// another port, for whose program a connection waits, comes an old ACK, which the
// kernel frees at the same place for no reason either.
func TestFullAcceptQueueIsItsOwn(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	const full = handshakePort + 1
	l := newLab(t)
	l.ready(t)
	other, h := newHandshakes(t, l, full, 0), newHandshakes(t, l, handshakePort, 16)
	h.connect(t, hostIP, 1)
	ended := h.timeWait(t)
	h.connect(t, hostIP, 1)
	r := start(t, []*lab{l}, "--port", strconv.Itoa(handshakePort))
	onFirstCPU := func(f func() error) {
		within(t, l.client, func() error {
			var first unix.CPUSet
			first.Set(0)
			if err := unix.SchedSetaffinity(0, &first); err != nil {
				return err
			}
			return f()
		})
	}
	for range 4 {
		onFirstCPU(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			other.clients = append(other.clients, fd)
			_, to := address(hostIP, full)
			if err := unix.Connect(fd, to); err != unix.EINPROGRESS {
				return err
			}
			return nil
		})
	}
	eventually(t, "the queue overflows", func() bool { return netstat(t, l.host, "ListenOverflows") > 0 })
	onFirstCPU(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, to := address(hostIP, 0)
		return unix.Sendto(fd, tcpHeader(clientIP, hostIP, ended, handshakePort, 0x10), 0, to)
	})
	eventually(t, "the old ACK is told", func() bool { return len(r.told(t)) > 0 })
	if drops := r.stop(t); len(withCode(drops, "accept-queue-full")) > 0 {
		t.Error(show(drops))
	}
}

// timeWait ends the first connection from the host's side and returns its port here.
func (h *handshakes) timeWait(t *testing.T) uint16 {
	t.Helper()
	client := h.clients[0]
	name, err := unix.Getsockname(client)
	if err != nil {
		t.Fatal(err)
	}
	fd, _, err := unix.Accept4(h.listener, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	if n, err := unix.Read(client, make([]byte, 1)); n != 0 || err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	unix.Close(client)
	h.clients = h.clients[1:]
	return uint16(name.(*unix.SockaddrInet4).Port)
}

// TestDeferredAcceptIsNoLoss: Apache sets TCP_DEFER_ACCEPT, nginx where it is told to.
func TestDeferredAcceptIsNoLoss(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	const number = 3
	l := newLab(t)
	l.ready(t)
	h := newHandshakes(t, l, handshakePort, 16, unix.TCP_DEFER_ACCEPT)
	r := start(t, []*lab{l}, "--port", strconv.Itoa(handshakePort))
	h.connect(t, hostIP, number)
	h.connect(t, hostIP6, number)
	h.send(t)
	for range 2 * number {
		fd, _, err := unix.Accept4(h.listener, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	want := netstat(t, l.host, "TCPDeferAcceptDrop")
	if want < 2*number {
		t.Fatalf("the kernel counted %d", want)
	}
	if drops := r.stop(t); len(drops) != 0 {
		t.Errorf("told as losses:\n%s", show(drops))
	}
	if words := fmt.Sprintf("apart from these: %d frees that lost no packet", want); !strings.Contains(r.summary, words) {
		t.Errorf("not %q:\n%s", words, r.summary)
	}
}

// TestFullReceiveBuffer: a UDP program that does not read.
func TestFullReceiveBuffer(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	if linux510() {
		return // gives no reasons
	}
	const full, last, number = 5300, 5301, 20
	l := newLab(t)
	l.ready(t)
	receivers := make(map[int]int)
	within(t, l.host, func() error {
		for _, port := range []int{full, last} {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			receivers[port] = fd
			if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
				return err
			}
		}
		return unix.SetsockoptInt(receivers[full], unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	})
	defer unix.Close(receivers[full])
	defer unix.Close(receivers[last])
	r := start(t, []*lab{l}, "--port", strconv.Itoa(full))
	within(t, l.client, func() error {
		client, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(client)
		for i := range number + 1 {
			_, to := address(hostIP, full)
			if i == number {
				_, to = address(hostIP, last)
			}
			if err := unix.Sendto(client, make([]byte, 500), 0, to); err != nil {
				return err
			}
		}
		return nil
	})
	if _, _, err := unix.Recvfrom(receivers[last], make([]byte, 500), 0); err != nil {
		t.Fatal(err) // it came behind all others
	}
	want := udpDrops(t, l.host, full)
	drops := r.stop(t)
	got := withCode(drops, "receive-buffer-full")
	if want < number/2 || len(drops) != want || len(got) == 0 {
		t.Fatalf("%d told, %d with the cause, the kernel counted %d", len(drops), len(got), want)
	}
	if m := got[0].Why[0].Message; !strings.Contains(m, "udp 5300 is full") || strings.Contains(m, " 0 bytes") {
		t.Error(m)
	}
}

// udpDrops reads the last column of /proc/net/udp for the socket on that port.
func udpDrops(t *testing.T, ns string, port int) (drops int) {
	t.Helper()
	within(t, ns, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/udp")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				drops, err = strconv.Atoi(f[len(f)-1])
			}
		}
		return err
	})
	return drops
}
