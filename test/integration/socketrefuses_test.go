package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Who refused at the socket has one reason in the kernel. From 6.11 on the socket is
// known; before, nothing is said of either.
func TestWhoRefusedAtTheSocket(t *testing.T) {
	l := newLab(t)
	l.ready(t)
	var plain, bound, both int
	within(t, l.host, func() (err error) {
		plain, err = udpSocket(8090)
		return err
	})
	defer unix.Close(plain)
	refusing(t, func() {
		within(t, l.host, func() (err error) {
			if bound, err = udpSocket(8091); err != nil {
				return err
			}
			both, err = udpSocket(8092)
			return err
		})
	})
	defer unix.Close(bound)
	defer unix.Close(both)
	for _, fd := range []int{plain, both} { // BPF_RET: 0 bytes
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &unix.SockFilter{Code: 6}}); err != nil {
			t.Fatal(err)
		}
	}
	trace := start(t, []*lab{l}, "--dport", "8090-8092")
	ports := map[uint16]string{8090: drop.WhySocketFilter, 8091: drop.WhyCgroupProgram, 8092: drop.WhyCgroupProgram}
	for port := range ports {
		packet{port: port}.send(t, l)
	}
	eventually(t, "three drops", func() bool { return len(trace.told(t)) >= 3 })
	for _, d := range trace.stop(t) {
		want := ports[*d.Packet.DestinationPort]
		if noReceiver() {
			want = ""
		}
		if got := whyOf(d, drop.WhySocketFilter, drop.WhyCgroupProgram, drop.WhySecurityModule); got != want {
			t.Errorf("got %q, want %q:\n%s", got, want, show([]drop.Drop{d}))
		}
		if !noReceiver() && !heldBy(d.Socket, os.Getpid()) {
			t.Errorf("not for this process:\n%s", show([]drop.Drop{d}))
		}
	}
}

// A TCP socket that is full has the reason of a protocol without memory, and its packet
// names no namespace any more.
func TestAFullTCPSocketIsFoundInItsNamespace(t *testing.T) {
	if noReceiver() {
		return
	}
	l := newLab(t)
	l.ready(t)
	client, accepted := connected(t, l, 8089)
	trace := start(t, []*lab{l}, "--dport", "8089") // of this namespace
	if err := unix.SetsockoptInt(accepted, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(int(client.Fd()), make([]byte, 60000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a drop", func() bool { return len(trace.told(t)) > 0 })
	for _, d := range trace.stop(t) {
		if d.Reason == "PROTO_MEM" && whyOf(d, drop.WhyReceiveBufferFull) == "" || d.Netns.Name != l.host {
			t.Errorf("a full socket:\n%s", show([]drop.Drop{d}))
		}
	}
}

// whyOf is the first code of those that the drop has.
func whyOf(d drop.Drop, codes ...string) string {
	for _, w := range d.Why {
		if slices.Contains(codes, w.Code) {
			return w.Code
		}
	}
	return ""
}

// noReceiver: the tracepoint does not say which socket a packet came to.
func noReceiver() bool { return linux510() || strings.HasPrefix(release(), "6.1.") }

func udpSocket(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrInet4{Port: port})
}

// refusing calls open in a cgroup that a program lets nothing come to.
func refusing(t *testing.T, open func()) {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("cgroup2", root, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, filepath.Base(t.Name())+strconv.Itoa(os.Getpid()))
	t.Cleanup(func() {
		_ = os.Remove(dir)
		_ = unix.Unmount(root, unix.MNT_DETACH)
	})
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.CGroupSKB, License: "GPL", AttachType: ebpf.AttachCGroupInetIngress,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	attached, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupInetIngress, Program: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = attached.Close() })
	move := func(to string) {
		if err := os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(root, ownCgroup(t))
	move(dir)
	open()
	move(home)
}

// ownCgroup is where the other tests run.
func ownCgroup(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path
		}
	}
	return "/"
}
