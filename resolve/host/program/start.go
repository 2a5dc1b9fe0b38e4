package program

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const threadNamespace = "/proc/thread-self/ns/net"

// process is a program that runs.
type process struct {
	stdout io.Reader
	read   chan struct{} // closed when stdout was read to its end
	ended  chan error
}

// wait returns how the program ended. stdout must have been read.
func (p *process) wait() error {
	close(p.read)
	return <-p.ended
}

// start runs the program from a thread that puts itself into the cage first and ends
// with the program: what a thread takes from itself its children do not have, and a
// thread's end is what kills them should droptrace be killed.
func start(ctx context.Context, c Command, timeout time.Duration, stderr io.Writer) (*process, error) {
	var namespace *os.File
	if c.Namespace != nil {
		err := c.Namespace.Do(func() (err error) {
			namespace, err = os.Open(threadNamespace)
			return err
		})
		if err != nil {
			return nil, err
		}
		defer namespace.Close()
	}
	p := &process{read: make(chan struct{}), ended: make(chan error, 1)}
	started := make(chan error, 1)
	go onThread(func() {
		cmd, err := p.fork(ctx, c, timeout, stderr, namespace)
		started <- err
		if err != nil {
			return
		}
		<-p.read
		p.ended <- cmd.Wait()
	})
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// onThread runs fn on a thread that ends with it.
func onThread(fn func()) {
	runtime.LockOSThread() // and never unlock
	if unix.Gettid() != unix.Getpid() {
		fn()
		return
	}
	// The first thread cannot end. While it waits here another is taken.
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		onThread(fn)
	}()
	<-done
}

// fork enters the namespace and the cage and starts the program.
func (p *process) fork(ctx context.Context, c Command, timeout time.Duration, stderr io.Writer, namespace *os.File) (*exec.Cmd, error) {
	if err := enter(namespace); err != nil {
		return nil, err
	}
	if c.Check != nil {
		if err := c.Check(); err != nil {
			return nil, err
		}
	}
	if err := keepDescriptors(); err != nil {
		return nil, err
	}
	g, err := newCage(c)
	if err != nil {
		return nil, err
	}
	cmd, err := p.exec(ctx, c, timeout, stderr, g)
	if errors.Is(err, unix.EPERM) && g.trace {
		g.trace = false // Yama forbids it
		cmd, err = p.exec(ctx, c, timeout, stderr, g)
	}
	if errors.Is(err, unix.EACCES) && g.user != nil {
		// A program, or a directory above it, that only root may read.
		if e := g.keepUser(); e != nil {
			return nil, e
		}
		cmd, err = p.exec(ctx, c, timeout, stderr, g)
	}
	return cmd, err
}

// enter moves the thread into the namespace, for good; nothing is needed for the one
// that it is in.
func enter(namespace *os.File) error {
	if namespace == nil {
		return nil
	}
	var here unix.Stat_t
	if err := unix.Stat(threadNamespace, &here); err != nil {
		return err
	}
	there, err := namespace.Stat()
	if err != nil {
		return err
	}
	if st, ok := there.Sys().(*syscall.Stat_t); ok && st.Ino == here.Ino {
		return nil
	}
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("setns", err)
	}
	return nil
}

func (p *process) exec(ctx context.Context, c Command, timeout time.Duration, stderr io.Writer, g *cage) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append([]string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, c.Env...)
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // for a child of its own that keeps a pipe
	cmd.Stderr = stderr
	limited := make(chan struct{})
	if c.Input != nil {
		cmd.Stdin = &gate{limited, c.Input}
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = g.attributes()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.stdout = stdout
	err = g.limit(cmd.Process.Pid, timeout)
	if err != nil {
		_ = cmd.Process.Kill()
	}
	close(limited) // Wait waits for the input, too
	if err != nil {
		_ = cmd.Wait()
		return nil, err
	}
	return cmd, nil
}

// gate holds the input back until the program is limited.
type gate struct {
	open <-chan struct{}
	r    io.Reader
}

func (g *gate) Read(b []byte) (int, error) {
	<-g.open
	return g.r.Read(b)
}
