package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// pick returns those of the listing that belong to the handles.
func pick(all []Namespace, handles ...*Handle) []Namespace {
	var out []Namespace
	for _, h := range handles {
		for _, n := range all {
			if n.Inode == h.inode {
				out = append(out, n)
			}
		}
	}
	return out
}

func TestListPrefersNames(t *testing.T) {
	ctx := context.Background()
	blue, docker, both, none, unheld := newHandle(t), newHandle(t), newHandle(t), newHandle(t), newHandle(t)
	pid := startIn(t, none)
	startIn(t, none) // the lower one counts
	startIn(t, blue)
	dockerPID := startIn(t, both)
	var got []Namespace
	inPrivateRun(t, func() error {
		err := errors.Join(
			bind(blue, "/run/netns/blue"), bind(blue, "/run/netns/blue2"),
			bind(docker, "/run/docker/netns/0123456789ab"),
			bind(both, "/run/docker/netns/ba9876543210"),
			os.WriteFile("/run/netns/left-behind", nil, 0o600),
		)
		if err != nil {
			return err
		}
		got, err = List(ctx)
		return err
	})
	want := []Namespace{
		{Inode: blue.inode, Name: "blue", Path: "/run/netns/blue"},
		{Inode: docker.inode, Name: "0123456789ab", Path: "/run/docker/netns/0123456789ab"},
		{Inode: both.inode, PID: dockerPID, Path: fmt.Sprintf("/proc/%d/ns/net", dockerPID), Command: "cat"},
		{Inode: none.inode, PID: pid, Path: fmt.Sprintf("/proc/%d/ns/net", pid), Command: "cat"},
	}
	picked := pick(got, blue, docker, both, none, unheld)
	if fmt.Sprintf("%+v", picked) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", picked, want)
	}
	for i, n := range got {
		if i > 0 && got[i-1].Inode >= n.Inode {
			t.Errorf("%d is listed after %d", n.Inode, got[i-1].Inode)
		}
		if n.Name == "left-behind" {
			t.Error("a plain file was taken for a namespace")
		}
	}
	own, err := Current()
	if err != nil {
		t.Fatal(err)
	}
	if !containsInode(got, own.Inode) {
		t.Error("the own namespace is missing")
	}
}

func containsInode(all []Namespace, inode uint32) bool {
	for _, n := range all {
		if n.Inode == inode {
			return true
		}
	}
	return false
}

func TestListStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLookCountsWhatWasRefused(t *testing.T) {
	var l Listing
	onThread(t, func() (err error) {
		if err := dropCapabilities(); err != nil {
			return err
		}
		l, err = Look(context.Background())
		return err
	})
	// Init has capabilities that the thread has no more.
	if l.Refused == 0 {
		t.Error("nothing was refused")
	}
	own, err := Current()
	if err != nil {
		t.Fatal(err)
	}
	if !containsInode(l.Namespaces, own.Inode) {
		t.Error("the own namespace is missing")
	}
}

func TestFind(t *testing.T) {
	ctx := context.Background()
	named, running, unheld := newHandle(t), newHandle(t), newHandle(t)
	pid := startIn(t, running)
	inPrivateRun(t, func() error {
		if err := bind(named, "/run/netns/blue"); err != nil {
			return err
		}
		if n, err := Find(ctx, named.inode); err != nil || n.Name != "blue" {
			t.Errorf("named: %+v, %v", n, err)
		}
		return nil
	})
	if n, err := Find(ctx, running.inode); err != nil || n.PID != pid || n.Command != "cat" {
		t.Errorf("of a process: %+v, %v", n, err)
	}
	if n, err := Find(ctx, unheld.inode); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %+v, %v", n, err)
	}
	own, err := Current()
	if err != nil {
		t.Fatal(err)
	}
	n, err := Find(ctx, own.Inode)
	if err != nil || n.Inode != own.Inode {
		t.Errorf("own: %+v, %v", n, err)
	}
	h, err := Open(n)
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
}

// A program run by `ip netns exec` has a name for its own namespace.
func TestFindNamesTheOwnNamespace(t *testing.T) {
	h := newHandle(t)
	inPrivateRun(t, func() error {
		if err := bind(h, "/run/netns/blue"); err != nil {
			return err
		}
		// On this thread, which alone sees the private /run.
		if err := unix.Setns(int(h.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		own, err := Current()
		if err != nil {
			return err
		}
		if n, err := Find(context.Background(), own.Inode); err != nil || n.Name != "blue" {
			t.Errorf("got %+v, %v", n, err)
		}
		return nil
	})
}

func TestListLeavesNoFileOpen(t *testing.T) {
	before := openFiles(t)
	for range 3 {
		if _, err := List(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files open after, %d before", after, before)
	}
}

// BenchmarkList1000 lists 1,000 named namespaces and 1,000 processes more than
// the machine has.
func BenchmarkList1000(b *testing.B) {
	// They end with the pipe that only the test can write to.
	read, write, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	many := exec.Command("sh", "-c", "for i in $(seq 1000); do cat <&3 >/dev/null & done; echo; wait")
	many.ExtraFiles = []*os.File{read}
	stdout, err := many.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := many.Start(); err != nil {
		b.Fatal(err)
	}
	read.Close()
	defer many.Wait()
	defer write.Close()
	stdout.Read(make([]byte, 1))

	inPrivateRun(b, func() error {
		for i := range 1000 {
			if err := bind(newHandle(b), fmt.Sprintf("/run/netns/n%d", i)); err != nil {
				return err
			}
		}
		for b.Loop() {
			if all, err := List(context.Background()); err != nil || len(all) < 1000 {
				return fmt.Errorf("listed %d: %w", len(all), err)
			}
		}
		return nil
	})
}
