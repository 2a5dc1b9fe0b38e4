package integration

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// aCase is one line of the tables of TestCases, which tells how to write one.
type aCase struct {
	name string
	// host, client, server are shell lines for these namespaces, whose names are
	// in $HOST, $CLIENT and $SERVER.
	host, client, server string
	// ready does what takes more than a command; may be nil.
	ready func(t *testing.T, l *lab)

	// send is "FROM tcp|udp|ping TO [PORT]". by sends instead what takes more.
	send string
	by   func(t *testing.T, l *lab)
	// port is that of the drop, where it is another one than sent.
	port int
	icmp uint8 // the drop's type of ICMP, where others are about; 0 for any
	// drops is where it is dropped: host, unless it is said, client or server.
	drops string

	code        string
	says, never []string
	// fix is a part of the fix; works has it typed, and a connection made.
	fix   string
	works bool
	// listens: somebody waits there from the beginning.
	listens bool
	// sport is the source port of what is sent, 0 for any: the same connection each time.
	sport uint16
	// answers is "WHERE PORT" of who answers, where NAT leads there.
	answers string
	// connects is what has to work after the fix, where that is more than an answer.
	connects func(t *testing.T, l *lab) error
}

// what is send, read.
type what struct {
	from, protocol string
	to             netip.Addr
	port           uint16
}

func (c *aCase) what(t *testing.T) what {
	t.Helper()
	f := strings.Fields(c.send)
	if len(f) < 3 {
		t.Fatalf("%s: send %q: want FROM PROTOCOL TO PORT", c.name, c.send)
	}
	w := what{from: f[0], protocol: f[1], to: netip.MustParseAddr(f[2])}
	if len(f) > 3 {
		n, err := strconv.ParseUint(f[3], 10, 16)
		if err != nil {
			t.Fatalf("%s: send %q: %v", c.name, c.send, err)
		}
		w.port = uint16(n)
	}
	return w
}

func (l *lab) named(name string) string {
	switch name {
	case "client":
		return l.client
	case "server":
		return l.server
	}
	return l.host
}

func runCases(t *testing.T, cases []aCase) {
	t.Helper()
	labs := make([]*lab, len(cases))
	var watched []*lab
	for i := range cases {
		labs[i] = newLab(t)
		labs[i].ready(t)
		keepEntries(t, labs[i].host)
		cases[i].set(t, labs[i])
		watched = append(watched, &lab{host: labs[i].named(cases[i].drops)})
	}
	trace := start(t, watched)
	for i := range cases {
		c := &cases[i]
		c.emit(t, labs[i])
		// The first drops of a namespace may be told before its rules are read.
		done := time.Now().Add(limit)
		for ; !trace.mayNotKnow() && time.Now().Before(done); time.Sleep(20 * time.Millisecond) {
			own := c.own(t, trace.drops(t), labs[i])
			if causesOf(own) != nil || c.code == "" && len(own) > 1 {
				break
			}
			if len(own) > 0 || time.Until(done) < limit-2*time.Second {
				c.emit(t, labs[i])
			}
			if len(own) > 20 {
				break
			}
		}
	}
	drops := trace.stop(t)
	for i := range cases {
		t.Run(cases[i].name, func(t *testing.T) {
			if trace.mayNotKnow() {
				return // without a rule there is no cause
			}
			cases[i].check(t, labs[i], cases[i].own(t, drops, labs[i]))
		})
	}
}

// keepEntries has conntrack keep entries for an hour: those that a case begins with
// must outlast the preparation of all others.
func keepEntries(t *testing.T, ns string) {
	t.Helper()
	command(t, "", "ip", "netns", "exec", ns, "sh", "-c",
		"cd /proc/sys/net/netfilter && for f in nf_conntrack_udp_timeout* nf_conntrack_tcp_timeout_*; do echo 3600 >$f; done")
}

// own are the drops that a case is about.
func (c *aCase) own(t *testing.T, drops []drop.Drop, l *lab) []drop.Drop {
	t.Helper()
	own := of(drops, l.named(c.drops))
	if c.icmp != 0 {
		return slices.DeleteFunc(own, func(d drop.Drop) bool { return d.Packet.ICMPType == nil || *d.Packet.ICMPType != c.icmp })
	}
	switch {
	case c.port > 0:
		return to(own, uint16(c.port))
	case c.port == 0 && c.send != "" && c.what(t).port != 0:
		return to(own, c.what(t).port)
	}
	return own
}

func (c *aCase) set(t *testing.T, l *lab) {
	t.Helper()
	for _, n := range []struct{ ns, lines string }{{l.host, c.host}, {l.client, c.client}, {l.server, c.server}} {
		if n.lines != "" {
			l.shell(t, n.ns, n.lines)
		}
	}
	if c.ready != nil {
		c.ready(t, l)
	}
	if c.listens {
		c.answer(t, l)
	}
}

// shell runs lines in a namespace, which end at the first that fails.
func (l *lab) shell(t *testing.T, ns, lines string) {
	t.Helper()
	names := fmt.Sprintf("set -e\nHOST=%s CLIENT=%s SERVER=%s\n", l.host, l.client, l.server)
	command(t, names+lines+"\n", "ip", "netns", "exec", ns, "sh")
}

func (c *aCase) emit(t *testing.T, l *lab) {
	t.Helper()
	if c.by != nil {
		c.by(t, l)
		return
	}
	w := c.what(t)
	if w.protocol == "ping" {
		within(t, l.named(w.from), func() error { return ping(w.to) })
		return
	}
	p := packet{tcp: w.protocol == "tcp", to: w.to.String(), port: w.port, from: c.sport}
	within(t, l.named(w.from), p.transmit)
}

func (c *aCase) check(t *testing.T, l *lab, own []drop.Drop) {
	t.Helper()
	whys := causesOf(own)
	own = own[:min(len(own), 3)] // to show
	switch {
	case len(own) == 0:
		t.Fatal("no drop")
	case whys == nil && c.code == "":
		return
	case whys == nil:
		t.Fatalf("no why:\n%s", show(own))
	}
	w, all := whys[0], ""
	for _, w := range whys {
		all += w.Message + "\n"
	}
	if w.Code != c.code {
		t.Errorf("code %q, want %q", w.Code, c.code)
	}
	for _, fact := range c.says {
		if !strings.Contains(all, fact) {
			t.Errorf("not said: %q", fact)
		}
	}
	for _, wrong := range c.never {
		if strings.Contains(all, wrong) {
			t.Errorf("said: %q", wrong)
		}
	}
	if !strings.Contains(w.Fix, c.fix) || c.works && w.Fix == "" {
		t.Errorf("fix %q, want %q in it", w.Fix, c.fix)
	}
	if t.Failed() {
		t.Fatalf("%s%s\n%s", all, w.Fix, show(own))
	}
	t.Logf("%s\n%s", strings.TrimSpace(all), w.Fix)
	if c.works {
		c.checkConnection(t, l, w.Fix)
	}
}

// checkConnection types the fix and makes a connection.
func (c *aCase) checkConnection(t *testing.T, l *lab, fix string) {
	t.Helper()
	connects := c.connects
	if connects == nil {
		w := c.what(t)
		if !c.listens {
			c.answer(t, l)
		}
		connects = func(t *testing.T, l *lab) error { return answered(t, l.named(w.from), w, c.sport) }
	}
	if err := connects(t, l); err == nil {
		t.Fatal("it is answered before the fix: the case proves nothing")
	}
	command(t, "", "sh", "-c", fix)
	var err error
	for range 20 {
		if err = connects(t, l); err == nil {
			return
		}
	}
	t.Fatalf("no answer after %q: %v", fix, err)
}

// answer has the packet's destination answer.
func (c *aCase) answer(t *testing.T, l *lab) {
	t.Helper()
	w, at := c.what(t), l.host
	switch w.to.String() {
	case serverIP, serverIP6:
		at = l.server
	case clientIP, clientIP6:
		at = l.client
	}
	if c.answers != "" {
		name, port, _ := strings.Cut(c.answers, " ")
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatalf("%s: answers %q: %v", c.name, c.answers, err)
		}
		at, w.port = l.named(name), uint16(n)
	}
	answerAt(t, at, w)
}

// answerAt answers on the port until the test ends.
func answerAt(t *testing.T, ns string, w what) {
	t.Helper()
	if w.protocol == "ping" {
		return
	}
	address, family := ":"+strconv.Itoa(int(w.port)), "4"
	if w.to.Is6() {
		family = "6"
	}
	within(t, ns, func() error {
		if w.protocol == "udp" {
			c, err := net.ListenPacket("udp"+family, address)
			if err != nil {
				return err
			}
			t.Cleanup(func() { c.Close() })
			go func() {
				b := make([]byte, 64)
				for {
					n, from, err := c.ReadFrom(b)
					if err != nil {
						return
					}
					_, _ = c.WriteTo(b[:n], from)
				}
			}()
			return nil
		}
		s, err := net.Listen("tcp"+family, address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { s.Close() })
		go func() {
			for {
				c, err := s.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					b := make([]byte, 64)
					if n, err := c.Read(b); err == nil {
						_, _ = c.Write(b[:n])
					}
				}()
			}
		}()
		return nil
	})
}

// answered sends a few bytes and reads them again: data pass both ways.
func answered(t *testing.T, ns string, w what, sport uint16) error {
	t.Helper()
	var failed error
	within(t, ns, func() error {
		if w.protocol == "ping" {
			failed = pinged(w.to)
			return nil
		}
		var c net.Conn
		const wait = time.Second
		dialer := net.Dialer{Timeout: wait}
		if sport != 0 && w.protocol == "udp" {
			dialer.LocalAddr = &net.UDPAddr{Port: int(sport)}
		}
		c, failed = dialer.Dial(w.protocol, netip.AddrPortFrom(w.to, w.port).String())
		if failed != nil {
			return nil
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(wait))
		if _, failed = c.Write([]byte("question")); failed == nil {
			_, failed = c.Read(make([]byte, 64))
		}
		return nil
	})
	return failed
}

func ping(to netip.Addr) error {
	c, _, err := pingSocket(to)
	if c >= 0 {
		unix.Close(c)
	}
	return err
}

// pinged waits for the answer, too.
func pinged(to netip.Addr) error {
	fd, id, err := pingSocket(to)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	wait := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return err
	}
	b := make([]byte, 256)
	for range 16 {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil {
			return err
		}
		p, reply := b[:n], byte(129)
		if to.Is4() {
			p, reply = b[20:n], 0
		}
		if len(p) >= 8 && p[0] == reply && p[4] == byte(id>>8) && p[5] == byte(id) {
			return nil
		}
	}
	return fmt.Errorf("no echo reply from %s", to)
}

// pingSocket sends an echo request from a raw socket.
func pingSocket(to netip.Addr) (fd, id int, err error) {
	id = unix.Getpid() & 0xffff
	domain, protocol, kind := unix.AF_INET, unix.IPPROTO_ICMP, byte(8)
	if !to.Is4() {
		domain, protocol, kind = unix.AF_INET6, unix.IPPROTO_ICMPV6, 128
	}
	if fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol); err != nil {
		return -1, 0, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return fd, id, err
	}
	m := []byte{kind, 0, 0, 0, byte(id >> 8), byte(id), 0, 1, 'd', 'r', 'o', 'p'}
	if to.Is4() { // IPv6's is made by the kernel
		var sum uint32
		for i := 0; i < len(m); i += 2 {
			sum += uint32(m[i])<<8 | uint32(m[i+1])
		}
		for sum > 0xffff {
			sum = sum&0xffff + sum>>16
		}
		m[2], m[3] = ^byte(sum>>8), ^byte(sum)
	}
	_, sa := address(to.String(), 0)
	if err = unix.Sendto(fd, m, 0, sa); err == unix.EPERM {
		err = nil // it was dropped on its way out
	}
	return fd, id, err
}

// sendMLDQuery sends a general query as routers do: with the router alert option in
// a hop-by-hop header.
func sendMLDQuery(t *testing.T, l *lab) {
	t.Helper()
	within(t, l.client, func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		alert := string([]byte{0, 0, 5, 2, 0, 0, 1, 0})
		if err := unix.SetsockoptString(fd, unix.SOL_IPV6, unix.IPV6_HOPOPTS, alert); err != nil {
			return err
		}
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		query := make([]byte, 24)
		query[0], query[4] = 130, 0x27
		to := &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(i.Index)}
		return unix.Sendto(fd, query, 0, to)
	})
}

// sendTagged sends a UDP datagram in a frame with a VLAN tag to the host's own
// hardware address.
func sendTagged(id uint16, to string, port uint16) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		var mac net.HardwareAddr
		within(t, l.host, func() error {
			i, err := net.InterfaceByName("eth0")
			if err == nil {
				mac = i.HardwareAddr
			}
			return err
		})
		within(t, l.client, func() error {
			own, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			frame := append(append([]byte{}, mac...), own.HardwareAddr...)
			frame = append(frame, 0x81, 0, byte(id>>8), byte(id), 8, 0)
			frame = append(frame, datagram(clientIP, to, port)...)
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: own.Index, Protocol: 0x0081})
		})
	}
}

// sendDiscover sends a datagram as a host does that asks for an address by DHCP.
func sendDiscover(t *testing.T, l *lab) {
	t.Helper()
	within(t, l.client, func() error {
		own, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		frame := append([]byte{255, 255, 255, 255, 255, 255}, own.HardwareAddr...)
		frame = append(append(frame, 8, 0), datagram("0.0.0.0", "255.255.255.255", 67)...)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: own.Index, Protocol: 0x0008})
	})
}

// datagram is an IPv4 packet with 8 bytes in UDP, without a UDP checksum.
func datagram(from, to string, port uint16) []byte {
	b := make([]byte, 36)
	b[0], b[3], b[8], b[9] = 0x45, 36, 64, 17
	copy(b[12:], netip.MustParseAddr(from).AsSlice())
	copy(b[16:], netip.MustParseAddr(to).AsSlice())
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	b[10], b[11] = ^byte(sum>>8), ^byte(sum)
	b[20], b[21], b[22], b[23], b[25] = 0x9c, 0x40, byte(port>>8), byte(port), 16
	return b
}
