package tracer

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// links are what is attached, the tracepoint first. Probes of a module that has just
// come are attached while a signal may be detaching all of them.
type links struct {
	mu    sync.Mutex
	all   []io.Closer
	ended bool
}

// keep holds on to a link; the program lives as long as it. After close it is
// detached at once.
func (l *links) keep(c io.Closer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return closeLink(c)
	}
	l.all = append(l.all, c)
	return nil
}

// undo detaches what do has attached, and returns both errors.
func (l *links) undo(do func() error) error {
	before := len(l.all)
	err := do()
	for _, c := range l.all[before:] {
		err = errors.Join(err, closeLink(c))
	}
	l.all = l.all[:before]
	return err
}

// close detaches what reports drops first: without the probes it would take a rule's
// drop for a policy's. Then the others at once, since for each the kernel waits until
// no CPU uses it any more.
func (l *links) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if len(l.all) == 0 {
		return nil
	}
	errs := make([]error, len(l.all))
	errs[0] = l.all[0].Close()
	var closing sync.WaitGroup
	for i, c := range l.all[1:] {
		closing.Go(func() { errs[i+1] = c.Close() })
	}
	closing.Wait()
	l.all = nil
	return errors.Join(errs...)
}

func closeLink(l io.Closer) error {
	if err := l.Close(); err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	return nil
}
