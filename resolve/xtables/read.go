package xtables

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace to read in.
type Namespace interface {
	// Do runs fn on a thread that is inside the namespace.
	Do(fn func() error) error
}

// ErrChanging is returned by Read for a table that changed each time it was read.
var ErrChanging = errors.New("table keeps changing")

// Socket options of both families (uapi linux/netfilter_ipv{4,6}/ip{,6}_tables.h).
const (
	optInfo    = 64 // IPT_SO_GET_INFO
	optEntries = 65 // IPT_SO_GET_ENTRIES

	infoSize    = 32 + 4 + 5*4 + 5*4 + 4 + 4
	entriesHead = 40 // struct ipt_get_entries: name[32], size, padding

	readTries = 5
)

// Tables lists the tables that exist in the namespace; /proc knows, and
// answers without creating one.
func Tables(ns Namespace) ([]TableID, error) {
	var out []TableID
	err := ns.Do(func() error {
		for _, f := range []struct{ family, file string }{
			{"ip", "/proc/thread-self/net/ip_tables_names"},
			{"ip6", "/proc/thread-self/net/ip6_tables_names"},
		} {
			names, err := readLines(f.file)
			if errors.Is(err, os.ErrNotExist) {
				continue // x_tables is not in this kernel
			}
			if err != nil {
				return err
			}
			for _, n := range names {
				out = append(out, TableID{Family: f.family, Name: n})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list iptables-legacy tables: %w", err)
	}
	return out, nil
}

func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	return lines, s.Err()
}

// Read reads one table that Tables listed. It needs CAP_NET_ADMIN.
func Read(ns Namespace, id TableID) (*Blob, error) {
	var info Info
	var raw []byte
	err := ns.Do(func() error {
		for range readTries {
			var err error
			if info, raw, err = read(id); !errors.Is(err, unix.EAGAIN) {
				return err
			}
		}
		return ErrChanging
	})
	if err != nil {
		return nil, fmt.Errorf("read iptables-legacy table %s of %s: %w", id.Name, id.Family, err)
	}
	return Parse(id, info, raw)
}

// read asks for size and entries; EAGAIN says that the size changed in between.
func read(id TableID) (Info, []byte, error) {
	domain, level := unix.AF_INET, unix.IPPROTO_IP
	if id.Family == "ip6" {
		domain, level = unix.AF_INET6, unix.IPPROTO_IPV6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return Info{}, nil, fmt.Errorf("open raw socket: %w", err)
	}
	defer unix.Close(fd)
	buf := make([]byte, infoSize)
	copy(buf, id.Name)
	if err := getsockopt(fd, level, optInfo, buf); err != nil {
		return Info{}, nil, fmt.Errorf("get info: %w", err)
	}
	info := parseInfo(buf)
	entries := make([]byte, entriesHead+int(info.Size))
	copy(entries, id.Name)
	binary.NativeEndian.PutUint32(entries[32:], info.Size)
	if err := getsockopt(fd, level, optEntries, entries); err != nil {
		return Info{}, nil, fmt.Errorf("get entries: %w", err)
	}
	return info, entries[entriesHead:], nil
}

func parseInfo(buf []byte) Info {
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(buf[at:]) }
	info := Info{Name: cString(buf[:32]), ValidHooks: u32(32), Number: u32(76), Size: u32(80)}
	for i := range 5 {
		info.HookEntry[i] = u32(36 + 4*i)
		info.Underflow[i] = u32(56 + 4*i)
	}
	return info
}

func getsockopt(fd, level, opt int, buf []byte) error {
	n := uint32(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(opt),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
