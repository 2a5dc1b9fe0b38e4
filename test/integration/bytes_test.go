package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/test/nstest"
	"github.com/droptrace/droptrace/tracer"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter/expression"
)

const (
	ethernetHeader = 14
	arphrdEther    = 1
)

// symbols are the running kernel's, as cmd/droptrace gives them to the tracer.
type symbols struct{ table *symbol.Table }

func (s symbols) Ranges(name string) (out [][2]uint64) {
	for _, r := range s.table.Range(name) {
		out = append(out, [2]uint64{r.Start, r.End})
	}
	return out
}

func (s symbols) Entry(name string) (addr uint64, ok bool) { return s.table.Address(name) }

func (s symbols) Modules() (lo, hi uint64) {
	if m := s.table.Modules(); len(m) > 0 {
		return m[0].Range.Start, m[len(m)-1].Range.End
	}
	return 0, 0
}

func (s symbols) Text() (start, end uint64) {
	text := s.table.Text()
	return text.Start, text.End
}

// openTracer opens a tracer in this process: what it reads has not been resolved.
func openTracer(t *testing.T, o tracer.Options) *tracer.Tracer {
	t.Helper()
	nstest.SkipUnprivileged(t)
	live, err := symbol.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	o.Symbols = symbols{live.Table()}
	o.BTF = btf.NewCache()
	tr, err := tracer.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// nextTo waits for the drop of a UDP packet to a port.
func nextTo(t *testing.T, tr *tracer.Tracer, port uint16) *event.Event {
	t.Helper()
	tr.SetDeadline(time.Now().Add(limit))
	var e event.Event
	for {
		if err := tr.Read(&e); err != nil {
			t.Fatalf("the drop of the packet to port %d: %v", port, err)
		}
		at := 20
		if e.Protocol == 0x86dd {
			at = 40
		}
		if p := e.Packet(); len(p) > at+4 && binary.BigEndian.Uint16(p[at+2:]) == port {
			return e.Clone()
		}
	}
}

// capture returns a function that waits for a frame with the UDP port, as a
// packet socket saw it arrive at the host.
func capture(t *testing.T, l *lab, port uint16) func() []byte {
	t.Helper()
	var fd int
	within(t, l.host, func() (err error) {
		all := binary.NativeEndian.Uint16([]byte{0, 3}) // htons(ETH_P_ALL)
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
		if err != nil {
			return err
		}
		return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	})
	t.Cleanup(func() { unix.Close(fd) })
	return func() (frame []byte) {
		eventually(t, "the packet socket sees the packet", func() bool {
			b := make([]byte, 1<<17)
			n, _, err := unix.Recvfrom(fd, b, 0)
			if errors.Is(err, unix.EAGAIN) {
				return false
			}
			if err != nil {
				t.Fatal(err)
			}
			frame = b[:n]
			at := ethernetHeader + 20
			if n > ethernetHeader && frame[ethernetHeader]>>4 == 6 {
				at = ethernetHeader + 40
			}
			return n > at+4 && binary.BigEndian.Uint16(frame[at+2:]) == port
		})
		return frame
	}
}

// A packet socket is the truth for what arrived.
func TestAnEventCarriesTheBytesThatArrived(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	for name, tt := range map[string]struct {
		p       packet
		snaplen int
		want    int
		stack   bool
	}{
		"whole":         {p: packet{port: 4101, size: 900}, snaplen: 1 << 18, want: ethernetHeader + 28 + 900},
		"cut":           {p: packet{port: 4102, size: 900}, snaplen: 300, want: 300},
		"ip6":           {p: packet{port: 4103, to: hostIP6, size: 64}, snaplen: 65536, want: ethernetHeader + 48 + 64},
		"behind stacks": {p: packet{port: 4104, size: 400}, snaplen: 1500, want: ethernetHeader + 28 + 400, stack: true},
		"none":          {p: packet{port: 4105, size: 100}, snaplen: 0, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			tr := openTracer(t, tracer.Options{Snaplen: tt.snaplen, Stack: tt.stack, Plan: tracer.PlanTracepoint})
			l.ready(t)
			frame := capture(t, l, tt.p.port)
			tt.p.send(t, l)
			e, want := nextTo(t, tr, tt.p.port), frame()
			if !bytes.Equal(e.Data, want[:tt.want]) {
				t.Errorf("%d bytes\n%x\nwant %d\n%x", len(e.Data), e.Data, tt.want, want[:tt.want])
			}
			b := e.Bytes
			if int(b.Original) != len(want) || int(b.Captured) != tt.want || b.LinkLength != ethernetHeader || b.DeviceType != arphrdEther {
				t.Errorf("described as %+v, %d bytes arrived", b, len(want))
			}
			if tt.stack != (e.Stack[0] != 0) {
				t.Errorf("stack %x", e.Stack)
			}
		})
	}
}

// What a host sends has no link-layer header yet where netfilter drops it.
func TestAnEventOfOutputBeginsAtTheNetworkHeader(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	l, s := newLab(t), ruleset{"nft", "table ip a {\n chain out { type filter hook output priority 0; udp dport 4111 counter drop\n }\n}"}
	s.load(t, l.host)
	tr := openTracer(t, tracer.Options{Snaplen: 65536})
	l.ready(t)
	packet{port: 4111, to: clientIP, local: true, size: 500}.send(t, l)
	e := nextTo(t, tr, 4111)
	if e.Bytes.LinkLength != 0 || e.Bytes.Original != 528 {
		t.Errorf("described as %+v", e.Bytes)
	}
	if len(e.Data) != 528 && e.Flags&event.Nonlinear == 0 {
		t.Errorf("%d bytes of a linear packet", len(e.Data))
	}
	if !bytes.HasPrefix(e.Data, e.Packet()[:28]) {
		t.Errorf("bytes %x, header %x", e.Data, e.Packet())
	}
}

// A tag lies beside the packet until the host has asked for its device.
func TestAnEventTellsTheTag(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	l, s := newLab(t), ruleset{"nft", "table netdev a {\n chain in { type filter hook ingress device eth0 priority 0; counter drop\n }\n}"}
	s.load(t, l.host)
	tr := openTracer(t, tracer.Options{Snaplen: 65536, Plan: tracer.PlanTracepoint})
	l.ready(t)
	frame := udpFrame(4121, 64)
	sendFrame(t, l.client, slices.Concat(frame[:12], []byte{0x81, 0x00, 0x60, 0x07}, frame[12:]))
	e := nextTo(t, tr, 4121)
	if e.Flags&event.VLAN == 0 || e.VLANTCI != 0x6007 || e.Bytes.VLANProto != 0x8100 {
		t.Errorf("flags %#x, tag %#x of %#x", e.Flags, e.VLANTCI, e.Bytes.VLANProto)
	}
	if !bytes.Equal(e.Data, frame) {
		t.Errorf("described as %+v\n%x\nwant\n%x", e.Bytes, e.Data, frame)
	}
}

// udpFrame is a frame for nobody's hardware address.
func udpFrame(port uint16, size int) []byte {
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(28+size))
	b = append(b, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1, 0x30, 0x39)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+size))
	return append(b, make([]byte, 2+size)...)
}

// sendFrame sends on eth0 what no socket of IP would.
func sendFrame(t *testing.T, ns string, frame []byte) {
	t.Helper()
	within(t, ns, func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index})
	})
}

// The ring must hold more than one of the longest records.
func TestSnaplenMakesTheBufferLargeEnough(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	openTracer(t, tracer.Options{Snaplen: tracer.MaxSnaplen, BufferSize: 64 << 10, Plan: tracer.PlanTracepoint})
}

// An expression that cannot be loaded is left to the caller, with enough bytes.
func TestAnExpressionThatIsRefusedIsTold(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	tr := openTracer(t, tracer.Options{Expression: new(expression.Program), Plan: tracer.PlanTracepoint})
	if tr.ExpressionInKernel() {
		t.Error("an empty program is said to run in the kernel")
	}
	if n := tr.Notices(); len(n) == 0 || !strings.Contains(n[len(n)-1], "refuses the expression") {
		t.Errorf("notices %q", n)
	}
}

// connect returns a connection from the host to the client, whose other end is
// never read.
func connect(t *testing.T, l *lab, port uint16) net.Conn {
	t.Helper()
	address := netip.AddrPortFrom(netip.MustParseAddr(clientIP), port).String()
	var listener net.Listener
	within(t, l.client, func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	t.Cleanup(func() { listener.Close() })
	var conn net.Conn
	within(t, l.host, func() (err error) {
		conn, err = net.DialTimeout("tcp", address, limit)
		return err
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

// readsPages: the kernel lets a tracepoint read more than the linear part.
func readsPages() bool { return !linux510() && !strings.HasPrefix(release(), "6.1.") }

// TCP keeps what a program writes in pages of its own.
func TestAnEventCarriesWhatLiesInPages(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	s := ruleset{"nft", "table ip a {\n chain out { type filter hook output priority 0; tcp dport 4131 tcp flags & psh == psh counter drop\n }\n}"}
	payload := bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 60)
	for name, tt := range map[string]struct{ snaplen, want int }{
		"whole": {1 << 16, 52 + len(payload)}, "cut": {300, 300},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.ready(t)
			conn := connect(t, l, 4131)
			s.load(t, l.host)
			tr := openTracer(t, tracer.Options{Snaplen: tt.snaplen, Plan: tracer.PlanTracepoint})
			if _, err := conn.Write(payload); err != nil {
				t.Fatal(err)
			}
			e := nextTo(t, tr, 4131)
			if e.Flags&event.Nonlinear == 0 || int(e.Bytes.Original) != 52+len(payload) {
				t.Fatalf("flags %#x, described as %+v", e.Flags, e.Bytes)
			}
			want := append(bytes.Clone(e.Packet()[:52]), payload...)[:tt.want]
			if !readsPages() {
				want = want[:min(52, len(want))]
			}
			if !bytes.Equal(e.Data, want) {
				t.Errorf("%d bytes %q, want %d", len(e.Data), e.Data, len(want))
			}
		})
	}
}

// An expression sees them too, or droptrace says that it could not.
func TestExpressionsLookIntoPages(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	s := ruleset{"nft", "table ip a {\n chain out { type filter hook output priority 0; tcp dport 4132 tcp flags & psh == psh counter drop\n }\n}"}
	l := newLab(t)
	l.ready(t)
	conn := connect(t, l, 4132)
	s.load(t, l.host)
	match := start(t, []*lab{l}, "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420") // GET
	other := start(t, []*lab{l}, "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x504f5354") // POST
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	counted(t, l, s, 1)
	got, none := len(match.stop(t)), len(other.stop(t))
	if readsPages() && got == 0 || !readsPages() && got > 0 || none > 0 {
		t.Errorf("%d drops match GET, %d match POST", got, none)
	}
	if said := strings.Contains(match.summary, "could not be read"); said == readsPages() {
		t.Errorf("summary:\n%s", match.summary)
	}
}
