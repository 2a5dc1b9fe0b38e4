package integration

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkNewConnection is what a new connection costs: a datagram to the host
// itself from a port that has no entry yet. In a guest whose clock counts
// instructions (test/vm -icount) its nanoseconds are instructions.
func BenchmarkNewConnection(b *testing.B) {
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"untouched", nil},
		{"live", []string{"--json"}},
		{"conntrack", []string{"conntrack", "--json", "--interval", "10s"}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			ns := "dt-bench"
			run := func(stdin, name string, args ...string) {
				cmd := exec.Command(name, args...)
				cmd.Stdin = strings.NewReader(stdin)
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%s %v: %v\n%s", name, args, err, out)
				}
			}
			run("", "ip", "netns", "add", ns)
			defer run("", "ip", "netns", "del", ns)
			run("", "ip", "-n", ns, "link", "set", "lo", "up")
			run("table ip f {\nchain input { type filter hook input priority 0; ct state new accept\n}\n}\n",
				"ip", "netns", "exec", ns, "nft", "-f", "-")
			if tt.args != nil {
				cmd := exec.Command(droptrace, append(tt.args, "--probes", plan())...)
				var stderr buffer
				cmd.Stderr = &stderr
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				defer func() {
					_ = cmd.Process.Signal(os.Interrupt)
					_ = cmd.Wait()
				}()
				for end := time.Now().Add(limit); !strings.Contains(string(stderr.bytes()), "tracing"); time.Sleep(50 * time.Millisecond) {
					if time.Now().After(end) {
						b.Fatal("not attached")
					}
				}
			}
			newConnections(b, ns)
		})
	}
}

func newConnections(b *testing.B, ns string) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks, so that the thread goes
		done <- enterAnd(ns, func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			i := 0
			for b.Loop() {
				// 127.x.y.z with another port each time: a flow of its own.
				to := &unix.SockaddrInet4{Port: 1 + i%60000, Addr: [4]byte{127, 0, byte(1 + i/60000%250), 1}}
				if err := unix.Sendto(fd, []byte("x"), unix.MSG_NOSIGNAL, to); err != nil && err != unix.ECONNREFUSED && err != unix.EPERM {
					return err
				}
				i++
			}
			return nil
		})
	}()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
