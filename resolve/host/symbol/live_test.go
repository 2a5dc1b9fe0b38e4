package symbol

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// changing is a symbol file whose content a test sets; it counts the reads.
type changing struct {
	*strings.Reader
	text   string
	reads  int
	closed bool
	err    error
}

func (c *changing) Seek(offset int64, whence int) (int64, error) {
	if c.err != nil {
		return 0, c.err
	}
	c.reads++
	c.Reader = strings.NewReader(c.text)
	return 0, nil
}

func (c *changing) Close() error {
	c.closed = true
	return nil
}

func newLive(t *testing.T, file *changing) (*Live, *time.Time) {
	t.Helper()
	now := time.Unix(1, 0)
	l := &Live{file: file, now: func() time.Time { return now }, wait: reloadEvery}
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	return l, &now
}

const (
	kernelOnly = "ffffffff81000000 T first\nffffffff81000100 T _etext\n"
	withModule = kernelOnly + "ffffffffc0000000 t nft_do_chain	[nf_tables]\n"
)

func TestLiveFollowsLaterModules(t *testing.T) {
	file := &changing{text: kernelOnly}
	l, _ := newLive(t, file)
	file.text = withModule
	if got := l.Name(0xffffffff81000010); got != "first+0x10" || file.reads != 1 {
		t.Errorf("%s after %d reads", got, file.reads)
	}
	if got := l.Name(0xffffffffc0000040); got != "nft_do_chain+0x40" || file.reads != 2 {
		t.Errorf("%s after %d reads", got, file.reads)
	}
	if name, ok := l.Entry(0xffffffffc0000000); !ok || name != "nft_do_chain" || file.reads != 2 {
		t.Errorf("Entry: %q %v after %d reads", name, ok, file.reads)
	}
}

func TestLiveBoundsItsReads(t *testing.T) {
	file := &changing{text: kernelOnly}
	l, now := newLive(t, file)
	const unknown = 0xffffffffc0000040
	for range 1000 { // 1000 s, one unknown address every second
		if _, _, ok := l.Lookup(unknown); ok {
			t.Fatal("found")
		}
		*now = now.Add(time.Second)
	}
	if file.reads > 12 { // doubling from 2 s to 5 min
		t.Errorf("%d reads in 1000 s", file.reads)
	}
	*now = now.Add(reloadAtMost)
	file.text = withModule
	if got := l.Name(unknown); got != "nft_do_chain+0x40" {
		t.Errorf("after the longest wait: %s", got)
	}
}

func TestLiveKeepsTheOldTable(t *testing.T) {
	file := &changing{text: kernelOnly}
	l, _ := newLive(t, file)
	file.err = errors.New("gone")
	if err := l.Reload(); !errors.Is(err, file.err) {
		t.Errorf("Reload: %v", err)
	}
	if got := l.Name(0xffffffffc0000040); got != "0xffffffffc0000040" {
		t.Errorf("unknown address: %s", got)
	}
	if got := l.Name(0xffffffff81000010); got != "first+0x10" {
		t.Errorf("known address: %s", got)
	}
}

func TestLiveClose(t *testing.T) {
	file := &changing{text: kernelOnly}
	l, _ := newLive(t, file)
	if err := l.Close(); err != nil || !file.closed {
		t.Errorf("Close: %v, closed %v", err, file.closed)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := l.Reload(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Reload after Close: %v", err)
	}
	if got := l.Name(0xffffffffc0000040); got != "0xffffffffc0000040" {
		t.Errorf("unknown address after Close: %s", got)
	}
}

func TestOpenReadsAgain(t *testing.T) {
	load(t)
	l, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := l.Table().Len()
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	if after := l.Table().Len(); after < before*9/10 || before == 0 {
		t.Errorf("%d symbols, then %d", before, after)
	}
}
