package integration

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// A namespace that goes gives its inode to the next one, whose rules have the same
// handles.
func TestInodeOfAnotherNamespace(t *testing.T) {
	nstest.NotInGuests(t, "before 5.14 no kernel tells a cookie")
	rules := func(port string) ruleset {
		return ruleset{"nft", strings.Replace(table, "%s", port, 1)}
	}
	trace := start(t, nil, "--host", "127.0.0.1", "--port", "4071")
	trace.signal(t, syscall.SIGSTOP)
	second := ""
	for try := range 10 {
		first := emptyNamespace(t, fmt.Sprint("a", try))
		rules("4071").load(t, first)
		within(t, first, sendToSelf)
		inode := inodeOf(t, first)
		command(t, "", "ip", "netns", "del", first)
		if second = successor(t, inode, fmt.Sprint("b", try)); second != "" {
			break
		}
	}
	if second == "" {
		t.Fatal("no inode was given out again")
	}
	rules("4072").load(t, second)
	trace.signal(t, syscall.SIGCONT)
	eventually(t, "the drop is told", func() bool {
		return strings.Contains(string(trace.stdout.bytes()), `"destination_port":4071`)
	})
	for _, d := range trace.stop(t) {
		if d.Netns.Name == second || d.Rule != nil && strings.Contains(d.Rule.Text, "4072") {
			t.Errorf("a drop from before this namespace:\n%s", show([]drop.Drop{d}))
		}
	}
}

// successor is a new namespace with the inode; empty where somebody else has got it.
// The lowest number that is free is taken, so that the others are kept until then.
func successor(t *testing.T, inode uint64, suffix string) string {
	t.Helper()
	for i := range 20 * int(limit/unhurried) {
		name := emptyNamespace(t, fmt.Sprint(suffix, ".", i))
		if inodeOf(t, name) == inode {
			return name
		}
		time.Sleep(50 * time.Millisecond) // a namespace ends some time after its last name
	}
	return ""
}

// A namespace that droptrace has read must end when everybody else is done with it.
func TestNamespacesAreLetGo(t *testing.T) {
	nstest.NotInGuests(t, "before 5.14 no kernel tells a cookie")
	trace := start(t, nil, "--host", "127.0.0.1", "--port", "4071")
	gone, stays := emptyNamespace(t, "a"), emptyNamespace(t, "b")
	configure(t, stays, "link add peer type veth peer name eth0 netns "+gone+"\n")
	ruleset{"nft", strings.Replace(table, "%s", "4071", 1)}.load(t, gone)
	within(t, gone, sendToSelf)
	eventually(t, "the drop is told", func() bool {
		return strings.Contains(string(trace.stdout.bytes()), gone)
	})
	command(t, "", "ip", "netns", "del", gone)
	eventually(t, "the veth pair is gone", func() (ok bool) {
		within(t, stays, func() error {
			_, err := netlink.LinkByName("peer")
			var notFound netlink.LinkNotFoundError
			if ok = errors.As(err, &notFound); ok {
				return nil
			}
			return err
		})
		return ok
	})
	trace.stop(t)
}

func emptyNamespace(t *testing.T, suffix string) string {
	t.Helper()
	name := fmt.Sprintf("dt%x%s", os.Getpid(), suffix)
	nstest.Named(t, name)
	configure(t, name, "link set lo up\n")
	return name
}

func inodeOf(t *testing.T, ns string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/run/netns/"+ns, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func sendToSelf() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Port: 4071, Addr: [4]byte{127, 0, 0, 1}})
}
