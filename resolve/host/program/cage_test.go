package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/test/nstest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "parent" {
		parent(os.Args[2])
	}
	goleak.VerifyTestMain(m)
}

// own is the namespace that the test is in.
type own struct{}

func (own) Do(fn func() error) error { return fn() }

// helper puts a program into a directory that anyone may read and write.
func helper(t *testing.T, script string) Runner {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "droptrace-program-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return Runner{Dirs: []string{dir}, Timeout: 30 * time.Second}
}

// run runs the program in a helper's place and returns its lines, name and value.
func run(t *testing.T, r Runner, c Command) map[string]string {
	t.Helper()
	var err error
	if c.Path, err = r.Find("nft"); err != nil {
		t.Fatal(err)
	}
	out, err := r.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		lines[name] = value
	}
	return lines
}

// attacker tries what a program that was taken over would. Each line says what came
// of it: 0, or the number of the error.
const attacker = `#!/usr/bin/perl
use strict;
sub tried { my ($name, $ok) = @_; printf "%%s %%d\n", $name, $ok ? 0 : $!+0 }
sub called { my ($name, $r) = @_; printf "%%s %%d\n", $name, $r == -1 ? $!+0 : 0 }
open(my $s, "<", "/proc/self/status");
while (<$s>) { print "$1 $2\n" if /^(Uid|Gid|Groups|Cap\w+|NoNewPrivs):\s*(.*?)\s*$/ }
my @fds = grep { /^\d+$/ && $_ > 2 && (readlink("/proc/self/fd/$_") // "/nft") !~ m{^/proc/\d+/(status|fd)$|/nft$} } do { opendir(my $d, "/proc/self/fd"); readdir($d) };
print "descriptors @fds\n";
print "environment ", join(",", sort keys %%ENV), "\n";
print "directory ", readlink("/proc/self/cwd"), "\n";
tried("write", open(my $w, ">", "%[1]s/made"));
tried("append", open(my $a, ">>", "%[1]s/there") && syswrite($a, "x"));
tried("shadow", open(my $r, "<", "/etc/shadow"));
tried("file", open(my $f, "<", "%[1]s/there"));
my ($none, $mnt, $tmpfs, $most) = ("none", "/mnt", "tmpfs", "\xff" x 16);
called("mount", syscall(%[2]d, $none, $mnt, $tmpfs, 0, 0));
called("ptrace", syscall(%[3]d, 16, getppid(), 0, 0));
tried("kill", kill(0, getppid()));
called("setuid", syscall(%[4]d, 0));
tried("fork", defined(my $pid = fork()));
exit 0 if defined($pid) && $pid == 0;
called("limit", syscall(%[5]d, 0, 1, $most, 0));
`

func TestAProgramInTheCage(t *testing.T) {
	nstest.SkipUnprivileged(t)
	r := helper(t, "")
	dir := r.Dirs[0]
	script := fmt.Sprintf(attacker, dir, unix.SYS_MOUNT, unix.SYS_PTRACE, unix.SYS_SETUID, unix.SYS_PRLIMIT64)
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "there"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "there"), 0o666); err != nil {
		t.Fatal(err)
	}
	// As a shell may leave it to droptrace: not closed on exec.
	f, err := os.Open("/etc/shadow")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const left = 77
	if err := unix.Dup3(int(f.Fd()), left, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(left)
	t.Setenv("IPTABLES_LIB_DIR", "/tmp")

	got := run(t, r, Command{Namespace: own{}})
	const net = "0000000000003000" // NET_ADMIN, NET_RAW
	for name, want := range map[string]string{
		"Uid": "65534\t65534\t65534\t65534", "Gid": "0\t0\t0\t0", "Groups": "",
		"CapEff": net, "CapPrm": net, "CapAmb": net, "CapBnd": net, "CapInh": net, "NoNewPrivs": "1",
		"descriptors": "", "environment": "LC_ALL,PATH", "directory": "/",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"write", "append", "shadow", "mount", "ptrace", "kill", "setuid", "fork", "limit"} {
		if got[name] == "0" || got[name] == "" {
			t.Errorf("%s was not refused: %q", name, got[name])
		}
	}
	if landlockVersion() > 0 && got["file"] == "0" {
		t.Error("a file in /tmp could be read")
	}
	if b, err := os.ReadFile(filepath.Join(dir, "there")); err != nil || len(b) > 0 {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err == nil {
		t.Error("a file was made")
	}
}

func TestAProgramOfNoNamespaceHasNoCapabilities(t *testing.T) {
	nstest.SkipUnprivileged(t)
	got := run(t, helper(t, "#!/usr/bin/perl\nopen(S,'/proc/self/status');while(<S>){print \"$1 $2\\n\" if /^(Cap\\w+):\\s*(\\S+)/}"), Command{})
	for _, name := range []string{"CapEff", "CapPrm", "CapAmb"} {
		if got[name] != "0000000000000000" {
			t.Errorf("%s is %s", name, got[name])
		}
	}
}

func TestOurOwnThreadsKeepWhatTheyHave(t *testing.T) {
	nstest.SkipUnprivileged(t)
	before, err := effective()
	if err != nil {
		t.Fatal(err)
	}
	r := helper(t, "#!/bin/sh\n")
	for range 20 {
		run(t, r, Command{Namespace: own{}})
	}
	// A thread of a program's is gone soon after the program.
	var wrong string
	for range 1000 {
		if wrong = caged(t, before); wrong == "" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if wrong != "" {
		t.Error(wrong)
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), "x"), []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
}

// caged returns the status of a thread of ours that has lost something.
func caged(t *testing.T, capabilities uint64) string {
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if err != nil {
			continue // ended
		}
		want := fmt.Sprintf("CapEff:\t%016x\n", capabilities)
		if !strings.Contains(string(status), want) || strings.Contains(string(status), "NoNewPrivs:\t1") {
			return string(status)
		}
	}
	return ""
}

// parent runs a program that does not end, and says which.
func parent(dir string) {
	r := Runner{Dirs: []string{dir}, Timeout: time.Minute}
	path, err := r.Find("nft")
	if err == nil {
		err = r.Stream(context.Background(), Command{Path: path, Namespace: own{}}, func(out io.Reader) error {
			b := make([]byte, 16)
			n, err := out.Read(b)
			os.Stdout.Write(b[:n])
			if err != nil {
				return err
			}
			select {}
		})
	}
	fmt.Println(err)
	os.Exit(1)
}

func TestAProgramDoesNotOutliveUs(t *testing.T) {
	nstest.SkipUnprivileged(t)
	r := helper(t, "#!/usr/bin/perl\n$|=1; $SIG{TERM}=$SIG{HUP}='IGNORE'; print \"$$\\n\"; sleep 1 while 1;\n")
	cmd := exec.Command("/proc/self/exe", "parent", r.Dirs[0])
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	n, err := out.Read(b)
	pid, e := strconv.Atoi(string(bytes.TrimSpace(b[:n])))
	if err = errors.Join(err, e); err != nil {
		t.Fatalf("%q: %v", b[:n], err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// A pidfd is readable once the process has ended.
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000); n != 1 || err != nil {
		t.Errorf("process %d lives on: %d, %v", pid, n, err)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

func TestProgramsAreLimited(t *testing.T) {
	nstest.SkipUnprivileged(t)
	got := run(t, helper(t, `#!/usr/bin/perl
open(L, "/proc/self/limits");
while (<L>) { print join("-", split(/ /, lc $1)), " $2\n" if /^Max (\w+(?: \w+)*)\s{2,}(\S+)/ }
`), Command{Namespace: own{}})
	for name, want := range map[string]string{
		"file-size": "0", "processes": "0", "core-file-size": "0", "open-files": "64", "address-space": strconv.Itoa(maxMemory), "cpu-time": "31",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// Where tracing is forbidden, and the limits of nobody's processes cannot be set.
func TestAProgramThatCannotBeLimitedEnds(t *testing.T) {
	nstest.SkipUnprivileged(t)
	r := helper(t, "#!/bin/sh\nexec sleep 60\n")
	path, err := r.Find("nft")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go onThread(func() {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		if err := unix.Capget(&header, &sets[0]); err != nil {
			ended <- err
			return
		}
		sets[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
		if err := unix.Capset(&header, &sets[0]); err != nil {
			ended <- err
			return
		}
		g := &cage{user: &syscall.Credential{Uid: nobody, Gid: rootGroup}}
		c := Command{Path: path, Input: strings.NewReader("input")}
		_, err := new(process).exec(t.Context(), c, time.Minute, nil, g)
		ended <- err
	})
	if err := <-ended; !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v, want %v", err, unix.EPERM)
	}
}

func TestProgramsEnd(t *testing.T) {
	r := helper(t, "#!/bin/sh\nexec sleep 60\n")
	r.Timeout = 50 * time.Millisecond
	path, err := r.Find("nft")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), Command{Path: path, Namespace: own{}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Run(ctx, Command{Path: path}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestProgramsThatFailSaySo(t *testing.T) {
	r := helper(t, "#!/bin/sh\nread x\necho \"no \x1b[2Jluck $x\" >&2\nexit 3\n")
	path, err := r.Find("nft")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Run(t.Context(), Command{Path: path, Input: strings.NewReader("given\n")})
	e, ok := errors.AsType[*Error](err)
	if !ok || !strings.Contains(e.Stderr, "luck given") || !strings.Contains(err.Error(), `no \x1b[2Jluck`) || !strings.Contains(err.Error(), "status 3") {
		t.Errorf("got %v", err)
	}
	if _, err := r.Run(t.Context(), Command{Path: "/nonexistent/program"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	refused := errors.New("refused")
	if _, err := r.Run(t.Context(), Command{Path: path, Check: func() error { return refused }}); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Find("iptables"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("got %v", err)
	}
}
