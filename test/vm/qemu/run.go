package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Some kernels panic now and then as they boot under QEMU, which says nothing
// about the command. A boot gets this many chances, each of this length.
const (
	bootAttempts = 3
	bootTimeout  = 2 * time.Minute
)

// errBoot tells that the guest died, or hung, before the command began.
var errBoot = errors.New("guest did not boot")

// A Result is how a command ended in a guest.
type Result struct {
	Code  int    // its exit code
	Taint uint64 // the guest's /proc/sys/kernel/tainted
	Boot  time.Duration
	Run   time.Duration
}

// Run boots the machine and copies what it prints to console. A boot that dies
// before the command began is tried again; a command never is.
func Run(ctx context.Context, m Machine, console io.Writer) (Result, error) {
	for attempt := 1; ; attempt++ {
		res, err := boot(ctx, m, console)
		if !errors.Is(err, errBoot) || attempt == bootAttempts {
			return res, err
		}
		fmt.Fprintf(console, "%v; trying again\n", err)
	}
}

func boot(ctx context.Context, m Machine, console io.Writer) (Result, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return Result{}, err
	}
	defer r.Close()

	qctx, kill := context.WithCancel(ctx)
	defer kill()
	program := platformOf(m.Arch).program
	cmd := exec.CommandContext(qctx, program, m.args()...)
	cmd.Stdout, cmd.Stderr = &unixLines{w: console}, os.Stderr
	cmd.ExtraFiles = []*os.File{w, m.Initramfs} // controlFD, initramfsFD
	// Should this process be killed, QEMU must not live on. In a process group
	// of its own it does not see a Ctrl-C before this process does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	start := time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		return Result{}, err
	}
	hung := time.AfterFunc(bootTimeout, kill)
	defer hung.Stop()
	rep, readErr := readReport(r, func() { hung.Stop() })
	if readErr != nil || !rep.exited.IsZero() {
		kill()
	}
	waitErr := cmd.Wait()

	switch {
	case ctx.Err() != nil:
		return Result{}, context.Cause(ctx)
	case readErr != nil:
		return Result{}, readErr
	case rep.ready.IsZero() && waitErr != nil && qctx.Err() == nil:
		// QEMU itself failed, and would again.
		return Result{}, fmt.Errorf("%s: %w", program, waitErr)
	case rep.ready.IsZero():
		return Result{}, fmt.Errorf("%w: gone after %.0f s", errBoot, time.Since(start).Seconds())
	case rep.exited.IsZero():
		return Result{}, errors.New("guest died before the command ended")
	}
	return Result{
		Code:  rep.code,
		Taint: rep.taint,
		Boot:  rep.ready.Sub(start),
		Run:   rep.exited.Sub(rep.ready),
	}, nil
}

// unixLines drops the carriage returns that the kernel's console puts before
// line feeds.
type unixLines struct {
	w  io.Writer
	cr bool // a carriage return is held back
}

func (u *unixLines) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p)+1)
	for _, c := range p {
		if u.cr && c != '\n' {
			out = append(out, '\r')
		}
		u.cr = c == '\r'
		if !u.cr {
			out = append(out, c)
		}
	}
	if _, err := u.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
