package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// patience is for guests in which every instruction is counted.
const patience = 3 * time.Minute

// watcher is a tool that runs beside the traffic.
type watcher struct {
	cmd  *exec.Cmd
	done chan struct{}
	// said is what it printed on standard error; read it after stop.
	said strings.Builder
	// ready is how long it took until it was.
	ready time.Duration
}

// watch starts a tool and returns once a line on its standard error holds the
// given words. Its standard output goes to out.
func watch(ctx context.Context, out io.Writer, words, name string, args ...string) (*watcher, error) {
	w := &watcher{cmd: exec.CommandContext(ctx, name, args...), done: make(chan struct{})}
	w.cmd.Cancel = func() error { return w.cmd.Process.Signal(os.Interrupt) }
	w.cmd.WaitDelay = 10 * time.Second
	w.cmd.Stdout = out
	pipe, stderr, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	w.cmd.Stderr = stderr
	start := time.Now()
	err = w.cmd.Start()
	stderr.Close()
	if err != nil {
		pipe.Close()
		return nil, err
	}
	seen := make(chan time.Time, 1)
	go w.read(pipe, words, seen)
	select {
	case at := <-seen:
		w.ready = at.Sub(start)
		return w, nil
	case <-w.done:
		err := w.cmd.Wait()
		return nil, fmt.Errorf("%s ended: %w\n%s", name, errors.Join(err, ctx.Err()), w.said.String())
	case <-time.After(patience):
		return nil, errors.Join(fmt.Errorf("%s is not ready after %v", name, patience), w.stop())
	}
}

func (w *watcher) read(pipe *os.File, words string, seen chan<- time.Time) {
	defer close(w.done)
	defer pipe.Close()
	for lines := bufio.NewReader(pipe); ; {
		line, err := lines.ReadString('\n')
		w.said.WriteString(line)
		if strings.Contains(line, words) {
			select {
			case seen <- time.Now():
			default: // it says it twice
			}
		}
		if err != nil {
			return
		}
	}
}

// stop interrupts the tool and waits for its end.
func (w *watcher) stop() error {
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	kill := time.AfterFunc(30*time.Second, func() { _ = w.cmd.Process.Kill() })
	defer kill.Stop()
	<-w.done
	err := w.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 0 {
		return nil // by the signal
	}
	return err
}

// memory is the most that the tool has held, in KiB.
func (w *watcher) memory() (kib int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib, nil
		}
	}
	return 0, errors.New("no VmHWM")
}
