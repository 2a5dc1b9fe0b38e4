package symbol

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// How often an unknown address may cost another read of /proc/kallsyms (some
// 60 ms): each time that it did not help, the wait doubles.
const (
	reloadEvery   = 2 * time.Second
	reloadAtMost  = 5 * time.Minute
	reloadBackoff = 2
)

// Live is a Table that follows the modules that are loaded later: where an
// address is unknown it reads the symbols again, at a bounded rate. A module that
// was replaced by another one at the same address is not noticed; call Reload
// where that is known to have happened.
//
// Live is safe for concurrent use.
type Live struct {
	table atomic.Pointer[Table]

	mu   sync.Mutex
	file io.ReadSeekCloser
	now  func() time.Time
	// hidden: there is nothing to read.
	hidden bool
	next   time.Time // no read before
	wait   time.Duration
}

// Open reads the symbols and keeps /proc/kallsyms open, because the kernel
// decides at open whether it shows addresses (kallsyms_open, 5.10): a reload works after
// the capabilities are gone. Errors are Load's.
func Open() (*Live, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read kernel symbols: %w", err)
	}
	l := &Live{file: f, now: time.Now, wait: reloadEvery}
	if err := l.Reload(); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

// Hidden stands for the symbols of a kernel that does not show them: no address has a
// name.
func Hidden() *Live {
	l := &Live{now: time.Now, hidden: true}
	l.table.Store(new(Table))
	return l
}

// Close gives the file back. The table of the last read stays usable.
func (l *Live) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}

// Table returns the symbols as last read.
func (l *Live) Table() *Table { return l.table.Load() }

// Reload reads the symbols again, whatever the rate. The old table stays where
// that fails.
func (l *Live) Reload() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reload()
}

// Lookup is Table.Lookup with a reload where pc is unknown.
func (l *Live) Lookup(pc uint64) (name string, offset uint64, ok bool) {
	if name, offset, ok = l.Table().Lookup(pc); ok {
		return name, offset, ok
	}
	return l.missed(pc).Lookup(pc)
}

// Name is Table.Name with a reload where pc is unknown.
func (l *Live) Name(pc uint64) string {
	t := l.Table()
	if _, _, ok := t.Lookup(pc); !ok {
		t = l.missed(pc)
	}
	return t.Name(pc)
}

// Entry is Table.Entry with a reload where addr is unknown.
func (l *Live) Entry(addr uint64) (name string, ok bool) {
	if name, ok = l.Table().Entry(addr); ok {
		return name, ok
	}
	return l.missed(addr).Entry(addr)
}

// missed returns the table to ask about an address that the last one did not
// know.
func (l *Live) missed(addr uint64) *Table {
	l.mu.Lock()
	defer l.mu.Unlock()
	if addr == 0 || l.file == nil || l.now().Before(l.next) {
		return l.Table()
	}
	before := l.Table()
	if err := l.reload(); err != nil {
		// Names are an aid: the caller shows the number.
		l.wait = min(l.wait*reloadBackoff, reloadAtMost)
		l.next = l.now().Add(l.wait)
		return before
	}
	if _, _, ok := l.Table().Lookup(addr); ok {
		l.wait = reloadEvery
	} else {
		l.wait = min(l.wait*reloadBackoff, reloadAtMost)
	}
	l.next = l.now().Add(l.wait)
	return l.Table()
}

func (l *Live) reload() error {
	if l.hidden {
		return nil
	}
	if l.file == nil {
		return fmt.Errorf("read kernel symbols: %w", os.ErrClosed)
	}
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read kernel symbols: %w", err)
	}
	t, err := parse(l.file)
	if err != nil {
		return err
	}
	l.table.Store(t)
	return nil
}
