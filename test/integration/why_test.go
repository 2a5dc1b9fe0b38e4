package integration

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// A proof sets one cause up, has a packet dropped of it, and, where droptrace
// prints a fix, runs that very command and sees the packet arrive.
type proof struct {
	name string
	// setup are command lines for the host's namespace.
	setup string
	// prepare does what takes more; may be nil.
	prepare func(t *testing.T, l *lab)
	packet
	// send sends the packet; nil for packet.send.
	send func(t *testing.T, l *lab)
	// at is the address where it arrives in the end; that of packet if empty.
	at string
	// listens: somebody waits for the packet from the beginning.
	listens bool
	// arrives tells whether the packet comes through; nil for a UDP socket at
	// its destination.
	arrives func(t *testing.T, l *lab) bool
	// choose are words of the fix that the engineer has to choose.
	choose map[string]string

	code    string
	message string // a part of it
	fix     string // without the way into the namespace; "" for none
	more    string // code of a second cause
}

func proveAll(t *testing.T, proofs []proof) {
	t.Helper()
	if linux510() {
		proofs = withoutReasons(proofs)
	}
	labs := make([]*lab, len(proofs))
	waiting := make([]*receiver, len(proofs))
	for i, p := range proofs {
		labs[i] = newLab(t)
		labs[i].ready(t)
		p.set(t, labs[i])
		if p.listens {
			waiting[i] = p.receive(t, labs[i])
		}
	}
	trace := start(t, labs)
	for i, p := range proofs {
		p.emit(t, labs[i])
	}
	for i, p := range proofs {
		// The first drops of a namespace may be told before its rules are read.
		eventually(t, p.name+": a drop is told with its cause", func() bool {
			own := to(of(trace.drops(t), labs[i].host), p.port)
			if len(own) > 0 && !trace.mayNotKnow() && causesOf(own) == nil {
				p.emit(t, labs[i])
			}
			return trace.mayNotKnow() || causesOf(own) != nil
		})
	}
	drops := trace.stop(t)
	for i, p := range proofs {
		t.Run(p.name, func(t *testing.T) {
			if trace.mayNotKnow() {
				return // without a rule there is no cause
			}
			own := to(of(drops, labs[i].host), p.port)
			fix := p.checkWhy(t, labs[i], own)
			if t.Failed() {
				t.Logf("droptrace:\n%s", show(own))
				return
			}
			if p.fix != "" {
				p.checkFix(t, labs[i], fix, waiting[i])
			}
		})
	}
}

// withoutReasons leaves out what only a kernel with drop reasons (5.17) tells.
func withoutReasons(proofs []proof) []proof {
	var out []proof
	for _, p := range proofs {
		switch p.code {
		case "no-listener", "ttl", "checksum", "other-host":
		default:
			out = append(out, p)
		}
	}
	return out
}

func (p proof) set(t *testing.T, l *lab) {
	t.Helper()
	for line := range strings.Lines(p.setup) {
		if line = strings.TrimSpace(line); line != "" {
			command(t, "", "ip", "netns", "exec", l.host, "sh", "-c", line)
		}
	}
	if p.prepare != nil {
		p.prepare(t, l)
	}
}

func (p proof) emit(t *testing.T, l *lab) {
	t.Helper()
	if p.send != nil {
		p.send(t, l)
		return
	}
	p.packet.send(t, l)
}

// checkWhy returns the fix that was printed.
func (p proof) checkWhy(t *testing.T, l *lab, drops []drop.Drop) string {
	t.Helper()
	if len(drops) == 0 {
		t.Error("no drop")
		return ""
	}
	whys := causesOf(drops)
	if whys == nil {
		t.Error("no why")
		return ""
	}
	w := whys[0]
	if w.Code != p.code {
		t.Errorf("code %q, want %q", w.Code, p.code)
	}
	if !strings.Contains(w.Message, p.message) {
		t.Errorf("message %q, want one with %q", w.Message, p.message)
	}
	want, way := p.fix, "ip netns exec "+l.host
	if want != "" {
		want = way + " " + strings.ReplaceAll(want, "NETNS", way)
	}
	// What lets the answers through comes behind: TestCases proves that.
	rest, begins := strings.CutPrefix(w.Fix, want+" && ")
	if answers := want != "" && begins && strings.Contains(strings.ToLower(rest), "established"); w.Fix != want && !answers {
		t.Errorf("fix\n%q, want\n%q", w.Fix, want)
	}
	if p.more != "" && (len(whys) < 2 || whys[1].Code != p.more) {
		t.Errorf("no second cause %q", p.more)
	}
	return w.Fix
}

// causesOf is what the first drop that has a cause has.
func causesOf(drops []drop.Drop) []drop.Why {
	for _, d := range drops {
		if len(d.Why) > 0 {
			return d.Why
		}
	}
	return nil
}

// checkFix runs the command as an engineer would, in a shell of the machine.
func (p proof) checkFix(t *testing.T, l *lab, fix string, waiting *receiver) {
	t.Helper()
	if p.arrives == nil {
		r := waiting
		if r == nil {
			r = p.receive(t, l)
		}
		p.arrives = func(t *testing.T, _ *lab) bool { return r.got(t) }
	}
	p.emit(t, l)
	if p.arrives(t, l) {
		t.Fatal("the packet arrives before the fix: the proof proves nothing")
	}
	for word, value := range p.choose {
		fix = strings.ReplaceAll(fix, word, value)
	}
	command(t, "", "sh", "-c", fix)
	p.emit(t, l)
	for end := time.Now().Add(limit); !p.arrives(t, l); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the packet does not arrive after %q", fix)
		}
	}
}

// A receiver is a UDP socket where packets of a proof shall arrive.
type receiver struct{ fd int }

func (p proof) receive(t *testing.T, l *lab) *receiver {
	t.Helper()
	ns, at := l.host, p.at
	if at == "" {
		at = p.to
	}
	switch at {
	case serverIP, serverIP6:
		ns = l.server
	case clientIP, clientIP6:
		ns = l.client
	}
	return receiveAt(t, ns, at == "" || netip.MustParseAddr(at).Is4(), p.port)
}

func receiveAt(t *testing.T, ns string, v4 bool, port uint16) *receiver {
	t.Helper()
	r := &receiver{fd: -1}
	within(t, ns, func() (err error) {
		domain, any := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(port)})
		if !v4 {
			domain, any = unix.AF_INET6, &unix.SockaddrInet6{Port: int(port)}
		}
		if r.fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(r.fd, any)
	})
	t.Cleanup(func() { unix.Close(r.fd) })
	return r
}

// got waits a moment for a packet.
func (r *receiver) got(t *testing.T) bool {
	t.Helper()
	wait := unix.Timeval{Usec: 300_000}
	if err := unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		t.Fatal(err)
	}
	_, _, err := unix.Recvfrom(r.fd, make([]byte, 2048), 0)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return err == nil
}

// drops are those told so far.
func (r *tracing) drops(t *testing.T) []drop.Drop {
	t.Helper()
	text := string(r.stdout.bytes())
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		return parseDrops(t, []byte(text[:i+1]))
	}
	return nil
}

// asks is a question that the host sends to the client, and the answer, which
// is what is dropped.
func asks(port uint16) (send func(*testing.T, *lab), arrives func(*testing.T, *lab) bool) {
	var answer, server *receiver
	send = func(t *testing.T, l *lab) {
		t.Helper()
		if answer == nil {
			answer, server = receiveAt(t, l.host, true, port), receiveAt(t, l.client, true, 53)
		}
		if err := unix.Sendto(answer.fd, []byte("question"), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(clientIP).As4(), Port: 53}); err != nil {
			t.Fatal(err)
		}
		_, from, err := unix.Recvfrom(server.fd, make([]byte, 64), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Sendto(server.fd, []byte("answer"), 0, from); err != nil {
			t.Fatal(err)
		}
	}
	return send, func(t *testing.T, _ *lab) bool { return answer.got(t) }
}

// sendFrom sends a packet with a source address that the client has not.
func sendFrom(source string, p packet) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		within(t, l.client, func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1); err != nil {
				return err
			}
			if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(source).As4()}); err != nil {
				return err
			}
			_, to := address(p.to, p.port)
			return unix.Sendto(fd, []byte("spoofed!"), 0, to)
		})
	}
}

// sendRaw sends a transport header and what follows it, as it is.
func sendRaw(protocol int, to string, bytes func() []byte) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		within(t, l.client, func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Sendto(fd, bytes(), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(to).As4()})
		})
	}
}

func sendTTL(ttl int, p packet) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		within(t, l.client, func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TTL, ttl); err != nil {
				return err
			}
			_, to := address(p.to, p.port)
			return unix.Sendto(fd, []byte("too far!"), 0, to)
		})
	}
}

func writeSysctl(t *testing.T, ns, name, value string) {
	t.Helper()
	within(t, ns, func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0) })
}
