package recording

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// Create opens a recording and begins it.
func Create(name string, o Options) (*Writer, error) {
	w, err := Open(context.Background(), name, o)
	if err != nil {
		return nil, err
	}
	return w, w.Begin(context.Background())
}

func TestARecordingIsReplacedOnlyWhenAnotherBegins(t *testing.T) {
	dir := t.TempDir()
	old, made := filepath.Join(dir, "old"), filepath.Join(dir, "made")
	if err := os.WriteFile(old, []byte("precious"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{old, made} {
		w, err := Open(t.Context(), name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Discard(); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(old); err != nil || string(b) != "precious" {
		t.Errorf("it holds %q: %v", b, err)
	}
	if info, err := os.Stat(old); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("it has become %v: %v", info.Mode(), err)
	}
	if _, err := os.Stat(made); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was left: %v", err)
	}
}

func TestTheNextFileIsNotALinkOfOthers(t *testing.T) {
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	if err := errors.Join(os.Chmod(dir, 0o777|os.ModeSticky), os.WriteFile(victim, []byte("precious"), 0o600),
		os.Symlink(victim, filepath.Join(dir, "d1"))); err != nil {
		t.Fatal(err)
	}
	w, err := Create(filepath.Join(dir, "d"), Options{Rotation: Rotation{Size: 10000}})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil && i < 1e6; i++ {
		err = w.Write(udpDrop(i))
	}
	if err := w.Close(drop.Counts{}); err == nil || !strings.Contains(err.Error(), "d1") {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(victim); err != nil || string(b) != "precious" {
		t.Errorf("the victim holds %q: %v", b, err)
	}
}

func TestWhatIsReadIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "d1")
	if err := errors.Join(os.WriteFile(name, []byte("precious"), 0o600), os.Link(name, filepath.Join(dir, "other"))); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Reading: []os.FileInfo{info}}
	if _, err := Open(t.Context(), filepath.Join(dir, "other"), o); !errors.Is(err, ErrRead) {
		t.Errorf("got %v, want %v", err, ErrRead)
	}
	// Rotation comes to it later.
	o.Rotation = Rotation{Size: 10000}
	w, err := Create(filepath.Join(dir, "d"), o)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil && i < 1e6; i++ {
		err = w.Write(udpDrop(i))
	}
	if err := w.Close(drop.Counts{}); !errors.Is(err, ErrRead) {
		t.Errorf("got %v, want %v", err, ErrRead)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "precious" {
		t.Errorf("it holds %q: %v", b, err)
	}
}

// The disk is full in the middle of a chunk.
func TestWrittenIsWhatTheFileHolds(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, 0)
	name := filepath.Join(dir, "d.pcapng")
	w, err := Create(name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil && i < 1e6; i++ {
		d, c := udpDrop(i)
		d.Repeats = 2
		err = w.Write(d, c)
	}
	_ = w.Close(drop.Counts{})
	drops, stood, _ := w.Written()
	if held := uint64(countDrops(t, name)); drops != held || stood != 3*held {
		t.Errorf("%d written that stand for %d, and the file holds %d", drops, stood, held)
	}
}

func TestAReaderThatStoppedIsGivenUp(t *testing.T) {
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w, err := Open(ctx, "-", Options{Stdout: pipe})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() {
		for i := range 100000 { // far more than what may wait
			if w.Write(udpDrop(i)) != nil {
				break
			}
		}
		closed <- w.Close(drop.Counts{})
	}()
	select {
	case err := <-closed:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	if err := <-closed; !errors.Is(err, errStalled) {
		t.Errorf("got %v, want %v", err, errStalled)
	}
	r.Close()
	<-w.done
	pipe.Close()
}
