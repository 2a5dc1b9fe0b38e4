package netns

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

// newNamespace makes one with a name of the test's own.
func newNamespace(t *testing.T) string {
	t.Helper()
	name := nstest.Name("dtnetns-")
	nstest.Named(t, name)
	return name
}

func open(t testing.TB, n Namespace) *Handle {
	t.Helper()
	h, err := Open(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestNamed(t *testing.T) {
	name := newNamespace(t)
	byName, err := Parse(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Find(context.Background(), byName.Inode)
	if err != nil || found.Name != name {
		t.Errorf("found %+v, %v; want name %s", found, err, name)
	}
	for _, spec := range []string{"/run/netns/" + name, "inode:" + itoa(byName.Inode), "net:[" + itoa(byName.Inode) + "]"} {
		n, err := Parse(context.Background(), spec)
		if err != nil || n.Inode != byName.Inode {
			t.Errorf("%s: got %+v, %v", spec, n, err)
		}
	}
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func TestUnknownNamesTheOnesThereAre(t *testing.T) {
	name := newNamespace(t)
	_, err := Parse(context.Background(), name+"x")
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"pid:x", "pid:0", "inode:", "net:[1]", "/etc/passwd"} {
		if _, err := Parse(context.Background(), bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestDoRunsInsideAndComesBack(t *testing.T) {
	n, err := Parse(context.Background(), newNamespace(t))
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, n)
	var inside uint32
	var program []byte
	err = h.Do(func() error {
		inside, err = inodeOf("/proc/thread-self/ns/net")
		if err == nil {
			program, err = exec.Command("readlink", "/proc/self/ns/net").Output()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside != n.Inode {
		t.Errorf("ran in namespace %d, want %d", inside, n.Inode)
	}
	if want := "net:[" + itoa(n.Inode) + "]"; strings.TrimSpace(string(program)) != want {
		t.Errorf("program ran in %s, want %s", program, want)
	}
	own, err := Current()
	if err != nil {
		t.Fatal(err)
	}
	if now, _ := inodeOf("/proc/thread-self/ns/net"); now != own.Inode {
		t.Errorf("the test's thread is in %d, want %d", now, own.Inode)
	}
}

func TestARecycledPathIsNotTheNamespace(t *testing.T) {
	n, err := Parse(context.Background(), newNamespace(t))
	if err != nil {
		t.Fatal(err)
	}
	n.Inode++
	if _, err := Open(n); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
