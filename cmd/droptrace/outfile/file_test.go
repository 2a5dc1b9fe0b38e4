package outfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const stranger = 65534 // neither root nor whoever runs the tests

// put makes a file or a link (what starts with ->) for a user, -1 for ourselves.
func put(t *testing.T, name, what string, uid int) {
	t.Helper()
	var err error
	if to, ok := strings.CutPrefix(what, "->"); ok {
		err = os.Symlink(to, name)
	} else {
		err = os.WriteFile(name, []byte(what), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if uid < 0 {
		return
	}
	if err := os.Lchown(name, uid, uid); errors.Is(err, unix.EPERM) {
		t.Skip("root")
	} else if err != nil {
		t.Fatal(err)
	}
}

func directory(t *testing.T, mode os.FileMode, uid int) string {
	t.Helper()
	dir := t.TempDir()
	if uid >= 0 {
		if err := os.Chown(dir, uid, uid); errors.Is(err, unix.EPERM) {
			t.Skip("root")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenTrustsNothingWhereOthersMayWrite(t *testing.T) {
	const sticky, group, private = 0o777 | os.ModeSticky, 0o770, 0o700
	tests := []struct {
		name string
		mode os.FileMode
		dir  int    // its owner
		what string // at the name
		uid  int    // whose
		sudo string
		want error
	}{
		{"new file in /tmp", sticky, -1, "", 0, "", nil},
		{"own file in /tmp", sticky, -1, "old", -1, "", nil},
		{"stranger's file in /tmp", sticky, -1, "old", stranger, "", ErrOwner},
		{"file of sudo's user in /tmp", sticky, -1, "old", stranger, "65534", nil},
		{"stranger's link in /tmp", sticky, -1, "->target", stranger, "", ErrLink},
		{"own link in /tmp", sticky, -1, "->target", -1, "", ErrLink},
		{"dangling link in /tmp", sticky, -1, "->nothing", -1, "", ErrLink},
		{"link in a group's directory", group, -1, "->target", -1, "", ErrLink},
		{"own file in a group's directory", group, -1, "old", -1, "", nil},
		{"link in a stranger's directory", private, stranger, "->target", stranger, "", ErrLink},
		{"stranger's file in his directory", private, stranger, "old", stranger, "", ErrOwner},
		{"new file in a stranger's directory", private, stranger, "", 0, "", nil},
		{"own link at home", private, -1, "->target", -1, "", nil},
		{"dangling link at home", private, -1, "->nothing", -1, "", nil},
		{"link of sudo's user at home", private, stranger, "->target", stranger, "65534", nil},
		{"stranger's file that was put into my home", private, -1, "old", stranger, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("SUDO_UID", tt.sudo)
			dir := directory(t, tt.mode, tt.dir)
			target, name := filepath.Join(dir, "target"), filepath.Join(dir, "file")
			put(t, target, "precious", -1)
			if tt.what != "" {
				put(t, name, tt.what, tt.uid)
			}
			f, err := Open(t.Context(), name)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil {
				f.Close()
			}
			if b, err := os.ReadFile(target); err != nil || string(b) != "precious" {
				t.Errorf("the link's target holds %q: %v", b, err)
			}
		})
	}
}

func TestOpenRefusesASecondNameWhereOthersMayWrite(t *testing.T) {
	dir := directory(t, 0o777|os.ModeSticky, -1)
	victim := filepath.Join(t.TempDir(), "victim")
	put(t, victim, "precious", -1)
	if err := os.Link(victim, filepath.Join(dir, "file")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "file")); !errors.Is(err, ErrOwner) {
		t.Errorf("got %v, want %v", err, ErrOwner)
	}
}

func TestOpenFollowsNoLinkOnTheWay(t *testing.T) {
	dir := directory(t, 0o777|os.ModeSticky, -1)
	home := t.TempDir()
	put(t, filepath.Join(dir, "sub"), "->"+home, -1)
	if _, err := Open(t.Context(), filepath.Join(dir, "sub", "file")); !errors.Is(err, ErrLink) {
		t.Errorf("a link in a shared directory: got %v, want %v", err, ErrLink)
	}
	// A private link into a shared directory is followed up to there.
	put(t, filepath.Join(dir, "evil"), "->"+filepath.Join(home, "file"), -1)
	put(t, filepath.Join(home, "mine"), "->"+filepath.Join(dir, "evil"), -1)
	if _, err := Open(t.Context(), filepath.Join(home, "mine")); !errors.Is(err, ErrLink) {
		t.Errorf("a private link to a shared one: got %v, want %v", err, ErrLink)
	}
	if _, err := os.Lstat(filepath.Join(home, "file")); err == nil {
		t.Error("the file was made")
	}
}

// What belongs to root behind /proc/PID/root may be a container's root.
func TestOpenFollowsNoLinkInAnotherRoot(t *testing.T) {
	home := t.TempDir()
	victim := filepath.Join(home, "victim")
	put(t, victim, "precious", -1)
	put(t, filepath.Join(home, "link"), "->"+victim, -1)
	other := "/proc/self/root" + home
	if _, err := Open(t.Context(), other+"/link"); !errors.Is(err, ErrLink) {
		t.Errorf("a link: got %v, want %v", err, ErrLink)
	}
	f, err := Open(t.Context(), other+"/new")
	if err != nil {
		t.Fatalf("a file that is not there yet: %v", err)
	}
	f.Close()
	if _, err := os.Stat(filepath.Join(home, "new")); err != nil {
		t.Error(err)
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	home := t.TempDir()
	put(t, filepath.Join(home, "loop"), "->loop", -1)
	put(t, filepath.Join(home, "file"), "x", -1)
	for name, want := range map[string]error{
		"": unix.ENOENT, home: unix.EISDIR, home + "/": unix.EISDIR, filepath.Join(home, "no", "x"): unix.ENOENT,
		filepath.Join(home, "loop"): unix.ELOOP, filepath.Join(home, "file", "x"): unix.ENOTDIR,
	} {
		if _, err := Open(t.Context(), name); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", name, err, want)
		}
	}
}

func TestOpenKeepsWhatIsThere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	put(t, name, "old", -1)
	f, err := Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(name); string(b) != "old" {
		t.Errorf("it holds %q after Open", b)
	}
	if err := f.Discard(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(name); string(b) != "old" {
		t.Errorf("it holds %q after Discard", b)
	}
}

func TestEmptyLeavesItToItsOwner(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	put(t, name, "old", -1)
	f, err := Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Empty(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() != 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("it has %v: %v", info, err)
	}
}

func TestDiscardRemovesOnlyWhatOpenMade(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	put(t, link, "->file", -1)
	for _, opened := range []string{name, link} {
		f, err := Open(t.Context(), opened)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Discard(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s: the file is still there", opened)
		}
	}
	if _, err := os.Lstat(link); err != nil {
		t.Error("the link is gone")
	}
	f, err := Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	put(t, name, "somebody else's", -1)
	if err := f.Discard(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(name); string(b) != "somebody else's" {
		t.Errorf("another file was taken for ours: %q", b)
	}
}

func TestOpenTakesDescriptors(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, name := range []string{"/dev/fd/%d", "/proc/self/fd/%d"} {
		f, err := Open(t.Context(), fmt.Sprintf(name, w.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, "x")
		f.Close()
		if n, err := r.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Errorf("%s: read %d bytes: %v", name, n, err)
		}
	}
	w.Close()
}

func TestOpenWaitsForAReaderUntilItIsToEnd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(enough) })
	if _, err := Open(ctx, name); !errors.Is(err, enough) {
		t.Fatalf("without a reader: got %v, want %v", err, enough)
	}
	read := make(chan error, 1)
	go func() {
		b, err := os.ReadFile(name)
		if err == nil && string(b) != "x" {
			err = fmt.Errorf("read %q", b)
		}
		read <- err
	}()
	f, err := Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if f.Regular {
		t.Error("a FIFO is taken for a regular file")
	}
	fmt.Fprint(f, "x")
	f.Close()
	if err := <-read; err != nil {
		t.Error(err)
	}
}
