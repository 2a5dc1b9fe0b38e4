package xtables

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket options, the same for both families: IPT_BASE_CTL and up of uapi
// linux/netfilter_ipv4/ip_tables.h, IP6T_BASE_CTL of ip6_tables.h.
const (
	optInfo    = 64 // IPT_SO_GET_INFO
	optEntries = 65 // IPT_SO_GET_ENTRIES
)

// socket answers the options of one table.
type socket struct {
	id        TableID
	fd, level int
}

// openSocket opens a socket in the thread's namespace. A datagram socket is
// enough, and needs no CAP_NET_RAW as iptables' own raw one does. It is opened
// only where the table is there: the first AF_INET6 socket loads ipv6.
func openSocket(id TableID) (*socket, error) {
	if err := id.listed(); err != nil {
		return nil, err
	}
	domain, level := unix.AF_INET, unix.IPPROTO_IP
	if id.Family == "ip6" {
		domain, level = unix.AF_INET6, unix.IPPROTO_IPV6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return &socket{id: id, fd: fd, level: level}, nil
}

func (s *socket) close() error { return unix.Close(s.fd) }

func (s *socket) getsockopt(option int, buf []byte) error {
	// Each option looks the table up by its name, and makes it if need be.
	if err := s.id.listed(); err != nil {
		return err
	}
	size := uint32(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), uintptr(s.level), uintptr(option),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
