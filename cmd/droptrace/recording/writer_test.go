package recording

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// countDrops reads a recording to its end, which must be whole.
func countDrops(t *testing.T, name string) int {
	t.Helper()
	n, err := readDrops(t, name)
	if err != nil {
		t.Fatalf("%s, after %d drops: %v", filepath.Base(name), n, err)
	}
	return n
}

func readDrops(t *testing.T, name string) (n int, err error) {
	t.Helper()
	r, close := openRecording(t, name)
	defer close()
	var rec Record
	for {
		err := r.Read(&rec)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n++
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFilesRotateBySizeAsTcpdumpDoes(t *testing.T) {
	for _, tt := range []struct {
		files int
		want  []string
		lost  bool // old files were overwritten
	}{
		{0, []string{"d", "d1", "d2", "d3"}, false},
		{12, []string{"d00", "d01", "d02", "d03"}, false},
		{3, []string{"d0", "d1", "d2"}, true},
	} {
		t.Run(fmt.Sprint(tt.files), func(t *testing.T) {
			const n, size = 1000, 70000
			dir := t.TempDir()
			w, err := Create(filepath.Join(dir, "d"), Options{Rotation: Rotation{Size: size, Files: tt.files}})
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if err := w.Write(udpDrop(i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(drop.Counts{}); err != nil {
				t.Fatal(err)
			}
			got := files(t, dir)
			if !slices.Equal(got, tt.want) {
				t.Fatalf("files %q, want %q", got, tt.want)
			}
			sum := 0
			for _, name := range got {
				info, err := os.Stat(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode().Perm() != 0o600 || info.Size() > size+2000 {
					t.Errorf("%s has mode %v and %d bytes", name, info.Mode(), info.Size())
				}
				sum += countDrops(t, filepath.Join(dir, name))
				wireshark(t, "capinfos", filepath.Join(dir, name))
			}
			if written, _, _ := w.Written(); written != n {
				t.Errorf("%d written, want %d", written, n)
			}
			if (sum < n) != tt.lost {
				t.Errorf("the files hold %d drops of %d", sum, n)
			}
		})
	}
}

func TestFilesRotateByAge(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(filepath.Join(dir, "d-%s"), Options{Rotation: Rotation{Every: time.Second, Files: 2}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for err == nil {
		if err = w.Write(udpDrop(n)); err == nil {
			n++
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !errors.Is(err, ErrFiles) {
		t.Fatal(err)
	}
	if err := w.Close(drop.Counts{}); err != nil {
		t.Fatal(err)
	}
	got := files(t, dir)
	if len(got) != 2 {
		t.Fatalf("files %q, want two", got)
	}
	if sum := countDrops(t, filepath.Join(dir, got[0])) + countDrops(t, filepath.Join(dir, got[1])); sum != n {
		t.Errorf("the files hold %d drops of %d", sum, n)
	}
}

func TestNamesAreTcpdumps(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, tt := range []struct {
		naming naming
		number int
		want   string
	}{
		{naming{"x", Rotation{}}, 0, "x"},
		{naming{"x%Y", Rotation{}}, 0, "x%Y"}, // no -G, no time
		{naming{"x", Rotation{Size: 1}}, 0, "x"},
		{naming{"x", Rotation{Size: 1}}, 12, "x12"},
		{naming{"x", Rotation{Size: 1, Files: 10}}, 0, "x0"},
		{naming{"x", Rotation{Size: 1, Files: 11}}, 3, "x03"},
		{naming{"x-%Y%m%d_%H%M%S.pcapng", Rotation{Every: 1}}, 0, "x-20260304_050607.pcapng"},
		{naming{"%F %T %j %% %s", Rotation{Every: 1}}, 0, "2026-03-04 05:06:07 063 % 1772600767"},
		{naming{"x%H", Rotation{Every: 1, Size: 1}}, 2, "x052"},
	} {
		if got := tt.naming.name(tt.number, at); got != tt.want {
			t.Errorf("%+v, file %d: %q, want %q", tt.naming, tt.number, got, tt.want)
		}
	}
	for pattern, ok := range map[string]bool{"x%Y%%": true, "x%Q": false, "x%": false} {
		if err := CheckPattern(pattern); (err == nil) != ok {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func TestAnOldFileIsClosedToOthers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "d")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := Create(name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(drop.Counts{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() > 1000 {
		t.Errorf("mode %v, %d bytes, %v", info.Mode(), info.Size(), err)
	}
}

// What a reader gets at once must not wait for more drops.
func TestAPipeIsFlushed(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	rec, err := Create("-", Options{Stdout: w})
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Write(udpDrop(1)); err != nil {
		t.Fatal(err)
	}
	rd, err := NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	var got Record
	if err := rd.Read(&got); err != nil {
		t.Fatal(err)
	}
	if want, _ := udpDrop(1); !got.Drop.Time.Equal(want.Time) {
		t.Errorf("%v, want %v", got.Drop.Time, want.Time)
	}
	go io.Copy(io.Discard, r)
	if err := rec.Close(drop.Counts{}); err != nil {
		t.Fatal(err)
	}
}

// The disk is a file system of one megabyte.
func TestAFullDiskLeavesAWholeFile(t *testing.T) {
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
		err = w.Write(udpDrop(i))
	}
	closeErr := w.Close(drop.Counts{})
	if !errors.Is(err, unix.ENOSPC) || !errors.Is(closeErr, unix.ENOSPC) {
		t.Fatalf("write: %v; close: %v", err, closeErr)
	}
	if !strings.Contains(closeErr.Error(), name) {
		t.Errorf("%q does not name the file", closeErr)
	}
	n := countDrops(t, name)
	if n < 1000 {
		t.Errorf("%d drops in a megabyte", n)
	}
	if got := strings.Count(wireshark(t, "tshark", "-r", name, "-T", "fields", "-e", "frame.number"), "\n"); got != n {
		t.Errorf("tshark reads %d, want %d", got, n)
	}
}

const killedEnv = "DROPTRACE_TEST_KILLED"

// A process of its own records until it is killed.
func TestAKilledProcessLeavesAReadableFile(t *testing.T) {
	if name := os.Getenv(killedEnv); name != "" {
		w, err := Create(name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			if err := w.Write(udpDrop(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 3 {
		name := filepath.Join(t.TempDir(), "d.pcapng")
		cmd := exec.Command(os.Args[0], "-test.run=^TestAKilledProcessLeavesAReadableFile$")
		cmd.Env = append(os.Environ(), killedEnv+"="+name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); ; {
			if info, err := os.Stat(name); err == nil && info.Size() > 4<<20 {
				break
			}
			if time.Now().After(end) {
				t.Fatal("nothing was recorded")
			}
			time.Sleep(time.Millisecond)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		// It may have been killed in the midst of a write(2): all before
		// the cut must be there.
		n, err := readDrops(t, name)
		if n < 1000 || err != nil && !errors.Is(err, ErrCut) {
			t.Errorf("%d drops, then %v", n, err)
		}
		out, _ := exec.Command("tshark", "-r", name, "-T", "fields", "-e", "frame.number").Output()
		if got := strings.Count(string(out), "\n"); got != n {
			t.Errorf("tshark reads %d drops, droptrace %d", got, n)
		}
	}
}
