package integration

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

const ordinaryPort = 8001

// conversations end in the ways in which TCP connections end with nothing lost: the
// server's and the client's half.
var conversations = []struct {
	name           string
	server, client func(c *net.TCPConn) error
}{
	{"the server closes first", answerAndClose(200000), readAll},
	{"the client closes first", answerAndWait(1000), readSome(1000)},
	{"the server ends its half first", endThenRead, sendAfterEnd},
	{"the client ends its half first", readThenAnswer, endThenWait},
	{"both close at once", answerAndClose(1), readSome(1)},
}

func answerAndClose(n int) func(*net.TCPConn) error {
	return func(c *net.TCPConn) error {
		_, err := c.Write(make([]byte, n))
		return err
	}
}

func answerAndWait(n int) func(*net.TCPConn) error {
	return func(c *net.TCPConn) error {
		if _, err := c.Write(make([]byte, n)); err != nil {
			return err
		}
		return readAll(c)
	}
}

func readAll(c *net.TCPConn) error {
	_, err := io.Copy(io.Discard, c)
	return err
}

func readSome(n int) func(*net.TCPConn) error {
	return func(c *net.TCPConn) error {
		_, err := io.ReadFull(c, make([]byte, n))
		return err
	}
}

func endThenRead(c *net.TCPConn) error {
	if err := c.CloseWrite(); err != nil {
		return err
	}
	return readAll(c)
}

func sendAfterEnd(c *net.TCPConn) error {
	if err := readAll(c); err != nil {
		return err
	}
	_, err := c.Write(make([]byte, 300000))
	return err
}

func readThenAnswer(c *net.TCPConn) error {
	if err := readAll(c); err != nil {
		return err
	}
	_, err := c.Write([]byte("enough"))
	return err
}

func endThenWait(c *net.TCPConn) error {
	if _, err := c.Write(make([]byte, 500000)); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	return readAll(c)
}

// serve holds the server's half of each conversation; the first byte says which.
func serve(listener net.Listener, failed chan<- error) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			which := make([]byte, 1)
			_, err := io.ReadFull(c, which)
			if err == nil {
				err = conversations[which[0]].server(c.(*net.TCPConn))
			}
			if err != nil {
				failed <- err
			}
		}()
	}
}

func converse(address string, which int) error {
	c, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte{byte(which)}); err != nil {
		return err
	}
	if err := conversations[which].client(c.(*net.TCPConn)); err != nil {
		return fmt.Errorf("%s: %w", conversations[which].name, err)
	}
	return nil
}

// echo sends datagrams of all sizes, fragmented ones too, there and back.
func echo(address string) error {
	c, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	back := make([]byte, 1<<16)
	for _, size := range []int{1, 1400, 4000, 9000} {
		sent := bytes.Repeat([]byte{'u'}, size)
		if _, err := c.Write(sent); err != nil {
			return err
		}
		if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
		n, err := c.Read(back)
		if err != nil || !bytes.Equal(back[:n], sent) {
			return fmt.Errorf("%d bytes of %d came back: %w", n, size, err)
		}
	}
	return nil
}

func echoAll(c net.PacketConn) {
	b := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = c.WriteTo(b[:n], from)
	}
}

// TestOrdinaryTrafficLosesNothing, while somebody captures: all that was sent arrives,
// and nothing is sent twice.
func TestOrdinaryTrafficLosesNothing(t *testing.T) {
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	l := newLab(t)
	l.ready(t)
	failed := make(chan error, 100)
	var capture int
	within(t, l.host, func() (err error) {
		for _, ip := range []string{hostIP, hostIP6} {
			address := net.JoinHostPort(ip, fmt.Sprint(ordinaryPort))
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return err
			}
			t.Cleanup(func() { listener.Close() })
			go serve(listener, failed)
			datagrams, err := net.ListenPacket("udp", address)
			if err != nil {
				return err
			}
			t.Cleanup(func() { datagrams.Close() })
			go echoAll(datagrams)
		}
		capture, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0x0300) // ETH_P_ALL
		return err
	})
	defer unix.Close(capture)
	r := start(t, []*lab{l}, "--netns", l.client)
	within(t, l.client, func() error {
		for _, ip := range []string{hostIP, hostIP6} {
			address := net.JoinHostPort(ip, fmt.Sprint(ordinaryPort))
			for which := range conversations {
				for range 4 {
					if err := converse(address, which); err != nil {
						return err
					}
				}
			}
			if err := echo(address); err != nil {
				return err
			}
		}
		return nil
	})
	settledTCP(t, l.host, l.client)
	drops := r.stop(t)
	for len(failed) > 0 {
		t.Error(<-failed)
	}
	// The links are new, and hosts that just came say so to nobody.
	drops = slices.DeleteFunc(drops, func(d drop.Drop) bool { return d.Packet.Protocol == "icmpv6" })
	if again := sentAgain(t, l.host) + sentAgain(t, l.client); len(drops) > again {
		t.Errorf("%d told as lost, and %d segments were sent again\n%s", len(drops), again, show(drops[:min(len(drops), 5)]))
	}
}

// sentAgain counts TCP's retransmissions: one for each segment that was lost, at least.
func sentAgain(t *testing.T, ns string) int {
	t.Helper()
	return mib(t, ns, "snmp", "Tcp:", "RetransSegs")
}
