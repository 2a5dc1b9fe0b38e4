package program

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

// containerd's socket has mode 0660 and is root's and its group's, which is ours: who
// may connect to it is root of the machine. No network namespace keeps it away, nor does Landlock.
func TestAProgramReachesNoUnixSocket(t *testing.T) {
	nstest.SkipUnprivileged(t)
	r := helper(t, `#!/usr/bin/perl
use Socket;
if (socket(S, AF_UNIX, SOCK_STREAM, 0) && connect(S, pack_sockaddr_un($ARGV[0]))) { print "unix connected\n" } else { print "unix refused\n" }
print "netlink ", (socket(N, 16, SOCK_RAW, 12) ? "open" : "refused"), "\n";
`)
	path := filepath.Join(r.Dirs[0], "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	got := run(t, r, Command{Namespace: own{}, Args: []string{path}})
	if got["unix"] != "refused" || got["netlink"] != "open" {
		t.Errorf("got %v", got)
	}
}
