// Command vm runs a command on other kernels: it boots Debian's in QEMU, with
// the network tools of this machine and the files that are asked for.
//
//	vm [flags] -- command [argument...]
//
// It exits with the command's own code, or the first that was not 0. Beware
// that `go run` makes 1 of any such code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Exit codes for what is no command's doing.
const (
	exitUsage  = 2
	exitFailed = 125
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	// A killed `go run` leaves its child running; this one is to end with it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		fmt.Fprintf(stderr, "vm: follow the parent process: %v\n", err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	opts, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	switch {
	case opts.names:
		_, err = fmt.Fprintln(stdout, strings.Join(opts.kernels, "\n"))
	case opts.list:
		err = list(ctx, opts, stdout)
	default:
		m := &matrix{opts: opts, stdout: stdout, stderr: stderr}
		code, runErr := m.run(ctx)
		if runErr == nil {
			return code
		}
		err = runErr
	}
	if err != nil {
		fmt.Fprintf(stderr, "vm: %v\n", err)
		return exitFailed
	}
	return 0
}
