package machine

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/diagnose"
)

var _ diagnose.Sockets = (*Machine)(nil)

// Sockets implements diagnose.Sockets. ok is false where there are too many to read
// in time: a machine can have a million.
func (m *Machine) Sockets(protocol string, port uint16) (list []diagnose.Socket, ok bool) {
	if protocol != "tcp" && protocol != "udp" {
		return nil, false
	}
	deadline := time.Now().Add(searchLimit)
	err := m.ns.Do(func() error {
		for _, name := range []string{protocol, protocol + "6"} {
			f, err := os.Open("/proc/thread-self/net/" + name)
			if os.IsNotExist(err) {
				continue // no IPv6
			}
			if err != nil {
				return err
			}
			list, err = readHeld(f, list, name, port, deadline)
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
	inodes := make([]string, len(list))
	for i := range list {
		inodes[i] = list[i].Inode
	}
	held := anyHolders(inodes, searchLimit)
	for i := range list {
		if by, ok := held[list[i].Inode]; ok {
			look(&list[i], by)
		}
	}
	return list, true
}

// readHeld appends the sockets of a file of /proc/net that have the port, whatever
// their state.
func readHeld(r io.Reader, list []diagnose.Socket, file string, port uint16, deadline time.Time) ([]diagnose.Socket, error) {
	lines := bufio.NewScanner(r)
	lines.Scan() // the heading
	for n := 0; lines.Scan() && len(list) < maxSockets; n++ {
		if n%1024 == 0 && time.Now().After(deadline) {
			return nil, os.ErrDeadlineExceeded
		}
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			continue
		}
		local, ok := parseEnd(f[1])
		if !ok || local.Port() != port {
			continue
		}
		remote, ok := parseEnd(f[2])
		state, err := strconv.ParseUint(f[3], 16, 8)
		if !ok || err != nil {
			continue
		}
		list = append(list, diagnose.Socket{
			Local: local, Remote: remote, State: diagnose.SocketState(state), V6: strings.HasSuffix(file, "6"), Inode: f[9],
		})
	}
	return list, lines.Err()
}

// parseEnd reads an address and a port in hexadecimal.
func parseEnd(s string) (netip.AddrPort, bool) {
	host, number, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(number, 16, 16)
	a, known := parseAddress(host)
	return netip.AddrPortFrom(a, uint16(n)), ok && known && err == nil
}

// look fills in a socket's process and, through a copy of its descriptor that is closed
// at once, what /proc does not show: the interface it is bound to, and whether it
// takes IPv6 only. sock_diag shows them, too, but asking it may load a module.
// pidfd_getfd is there from 5.6 on.
func look(s *diagnose.Socket, by holding) {
	s.PID, s.Command = by.pid, by.command
	process, err := unix.PidfdOpen(s.PID, 0)
	if err != nil {
		return
	}
	defer unix.Close(process)
	fd, err := unix.PidfdGetfd(process, by.fd, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || strconv.FormatUint(st.Ino, 10) != s.Inode {
		return // the number is another file's by now
	}
	device, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	if err != nil {
		return
	}
	s.Device, s.Looked = device, true
	if s.V6 {
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		s.V6Only = err == nil && only != 0
	}
}
