package xtables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/budget"
)

var (
	// ErrNoTable is returned for a table that the namespace does not have.
	ErrNoTable = errors.New("no such table")
	// ErrChanging is returned by [Read] for a table that changed each time it
	// was read.
	ErrChanging = errors.New("table keeps changing")
)

// Namespace is a network namespace to read in; [netns.Handle] is one.
//
// [netns.Handle]: https://pkg.go.dev/github.com/droptrace/droptrace/resolve/netns#Handle
type Namespace interface {
	// Do runs fn on a thread that is inside the namespace, and returns its
	// error.
	Do(fn func() error) error
}

// Tables returns the tables that exist in the namespace, ip before ip6. None is
// created by asking. Only the root user of the user namespace that owns the
// network namespace may ask (the files in /proc/net have mode 0440).
func Tables(ns Namespace) ([]TableID, error) {
	var ids []TableID
	err := ns.Do(func() error {
		for _, family := range []string{"ip", "ip6"} {
			names, err := tableNames(family)
			if err != nil {
				return err
			}
			for _, name := range names {
				ids = append(ids, TableID{Family: family, Name: name})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list iptables-legacy tables: %w", err)
	}
	return ids, nil
}

// tableNames lists the tables of one family in the thread's namespace.
func tableNames(family string) ([]string, error) {
	file := "ip_tables_names"
	if family == "ip6" {
		file = "ip6_tables_names"
	}
	// /proc/net would be the namespace of the process's first thread.
	b, err := os.ReadFile("/proc/thread-self/net/" + file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // ip_tables is not in this kernel, or not loaded
	}
	return strings.Fields(string(b)), err
}

// listed returns ErrNoTable unless the thread's namespace has the table. It must
// be asked right before anything that would create one.
func (id TableID) listed() error {
	names, err := tableNames(id.Family)
	if err == nil && !slices.Contains(names, id.Name) {
		err = ErrNoTable
	}
	return err
}

// Read reads one table. The error is [ErrNoTable] where the namespace does not
// have it (it is not created), [ErrChanging] where it was replaced again and
// again meanwhile, and [unix.EPERM] without CAP_NET_ADMIN in the user namespace
// that owns the network namespace.
func Read(ns Namespace, id TableID) (*Blob, error) {
	return ReadWithin(nil, ns, id)
}

// tableShare is what a table that was read takes for each byte of its entries.
const tableShare = 3

// ReadWithin is Read for a table that is taken of the budget before it is read; where
// it is too large the error is a [*budget.LimitError].
func ReadWithin(memory *budget.Budget, ns Namespace, id TableID) (*Blob, error) {
	var b *Blob
	err := ns.Do(func() error {
		s, err := openSocket(id)
		if err != nil {
			return err
		}
		defer s.close()
		b, err = read(id, within(memory, s.getsockopt))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read iptables-legacy table %q of %s: %w", id.Name, id.Family, err)
	}
	return b, nil
}

// Unchanged reads the blob's table again and reports whether it still has the
// blob's rules. Errors are those of Read.
func Unchanged(ns Namespace, b *Blob) (same bool, err error) {
	err = ns.Do(func() error {
		s, err := openSocket(b.ID)
		if err != nil {
			return err
		}
		defer s.close()
		same, err = b.unchanged(within(budget.New(tableShare*int64(b.Size), nil), s.getsockopt))
		if errors.Is(err, budget.ErrLimit) {
			return nil // it is a larger table
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read iptables-legacy table %q of %s: %w", b.ID.Name, b.ID.Family, err)
	}
	return same, nil
}

// within has the size that the kernel tells taken of the budget: the entries are
// asked for next.
func within(memory *budget.Budget, get getsockopt) getsockopt {
	taken := 0
	return func(option int, buf []byte) error {
		if err := get(option, buf); err != nil || option != optInfo {
			return err
		}
		need := tableShare * int(binary.NativeEndian.Uint32(buf[infoSize-4:]))
		if err := memory.Take(need - taken); err != nil {
			return err
		}
		taken = max(need, taken)
		return nil
	}
}

func (b *Blob) unchanged(get getsockopt) (bool, error) {
	for range readTries {
		info, raw, err := readOnce(b.ID.Name, get)
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		return err == nil && b.same(info, raw), err
	}
	return false, ErrChanging
}

// Of struct ipt_getinfo and ipt_get_entries, uapi linux/netfilter_ipv4/ip_tables.h.
const (
	tableNameSize = 32 // XT_TABLE_MAXNAMELEN
	infoSize      = tableNameSize + 4 + 4*hookCount + 4*hookCount + 4 + 4
	entriesHead   = tableNameSize + 8 // u32 size, and padding

	readTries = 10
)

// getsockopt fills buf with a socket option of the family's level.
type getsockopt func(option int, buf []byte) error

// read asks for a table until its info and its entries belong together: the
// kernel answers EAGAIN where the size became another in between, and nothing
// where a table of the same size took its place. That one has another info, or
// where it was there for the entries only, another comefrom: see agree.
func read(id TableID, get getsockopt) (*Blob, error) {
	if len(id.Name) >= tableNameSize {
		return nil, ErrNoTable
	}
	var malformed error
	for range readTries {
		info, raw, err := readOnce(id.Name, get)
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b, err := parse(id, info, raw)
		if !errors.Is(err, ErrMalformed) {
			return b, err
		}
		malformed = err
	}
	if malformed != nil {
		return nil, fmt.Errorf("%w: %w", ErrChanging, malformed)
	}
	return nil, ErrChanging
}

// readOnce returns EAGAIN where the table changed before its end.
func readOnce(name string, get getsockopt) (Info, []byte, error) {
	info, err := readInfo(name, get)
	if err != nil {
		return Info{}, nil, err
	}
	raw, err := readEntries(name, info.Size, get)
	if err != nil {
		return Info{}, nil, err
	}
	after, err := readInfo(name, get)
	if err == nil && after != info {
		err = unix.EAGAIN
	}
	return info, raw, err
}

func readInfo(name string, get getsockopt) (Info, error) {
	buf := make([]byte, infoSize)
	copy(buf, name)
	if err := get(optInfo, buf); err != nil {
		return Info{}, fmt.Errorf("get info: %w", err)
	}
	// valid_hooks, hook_entry[5], underflow[5], num_entries, size
	var info Info
	err := binary.Read(bytes.NewReader(buf[tableNameSize:]), binary.NativeEndian, &info)
	return info, err
}

func readEntries(name string, size uint32, get getsockopt) ([]byte, error) {
	buf := make([]byte, entriesHead+int(size))
	copy(buf, name)
	binary.NativeEndian.PutUint32(buf[tableNameSize:], size)
	if err := get(optEntries, buf); err != nil {
		return nil, fmt.Errorf("get entries: %w", err)
	}
	return buf[entriesHead:], nil
}
