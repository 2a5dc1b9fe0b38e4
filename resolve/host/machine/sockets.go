package machine

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/cpu"

	"github.com/droptrace/droptrace/resolve/diagnose"
)

// States of /proc/net/tcp and udp: a UDP socket that is not connected is closed.
const (
	stateListen = "0A"
	stateClosed = "07"
)

// Queues implements diagnose.Machine. The file has a line for each queue that a
// program has bound, and is not there without the module.
func (m *Machine) Queues() (number int, ok bool) {
	var b []byte
	err := m.ns.Do(func() (err error) {
		b, err = os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		return 0, false
	}
	return bytes.Count(b, []byte("\n")), true
}

// Listeners implements diagnose.Machine.
func (m *Machine) Listeners(protocol string, port uint16) (list []diagnose.Listener, ok bool) {
	state := stateListen
	switch protocol {
	case "tcp":
	case "udp":
		state = stateClosed
	default:
		return nil, false
	}
	var found []socket
	err := m.ns.Do(func() error {
		for _, name := range []string{protocol, protocol + "6"} {
			f, err := os.Open("/proc/thread-self/net/" + name)
			if os.IsNotExist(err) {
				continue // no IPv6
			}
			if err != nil {
				return err
			}
			found, err = readSockets(f, found, port, state)
			f.Close()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, false
	}
	inodes := make([]string, len(found))
	for i, s := range found {
		inodes[i] = s.inode
	}
	held := anyHolders(inodes, searchLimit)
	for _, s := range found {
		by := held[s.inode]
		list = append(list, diagnose.Listener{Address: s.address, Waiting: s.waiting, PID: by.pid, Command: by.command})
	}
	return list, true
}

// socket is one line of /proc/net/tcp.
type socket struct {
	address netip.Addr
	inode   string
	waiting int // connections to accept, bytes to read of UDP: ss calls it Recv-Q
}

// maxSockets bounds what is told of one port.
const maxSockets = 16

// readSockets appends the sockets of that state that are bound to the port. The
// kernel lists TCP's listening sockets first (tcp_seq_start), so that those of
// open connections, of which there can be a million, are not read.
func readSockets(r io.Reader, found []socket, port uint16, state string) ([]socket, error) {
	lines := bufio.NewScanner(r)
	lines.Scan() // the heading
	for lines.Scan() && len(found) < maxSockets {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			continue
		}
		if f[3] != state {
			if state == stateListen {
				break
			}
			continue
		}
		host, number, ok := strings.Cut(f[1], ":")
		if n, err := strconv.ParseUint(number, 16, 16); !ok || err != nil || uint16(n) != port {
			continue
		}
		if a, ok := parseAddress(host); ok {
			_, queue, _ := strings.Cut(f[4], ":")
			waiting, _ := strconv.ParseUint(queue, 16, 31)
			found = append(found, socket{a, f[9], int(waiting)})
		}
	}
	return found, lines.Err()
}

// parseAddress reads words of 32 bits, each printed as a number of the host's
// byte order.
func parseAddress(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.Addr{}, false
	}
	if !cpu.IsBigEndian {
		for i := 0; i < len(b); i += 4 {
			b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
		}
	}
	a, ok := netip.AddrFromSlice(b)
	return a.Unmap(), ok
}
