package live

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"time"
)

// How often a quiet droptrace looks for legacy tables that came after its start:
// their counters must be watched before they drop.
const (
	refreshEvery   = time.Second
	refreshAtLeast = 5 * time.Second
)

// maintain does what is due, also where drops never leave Read waiting.
func (t *Trace) maintain(ctx context.Context, now time.Time) {
	if ctx.Err() != nil {
		return
	}
	if t.tracer.Recalibrate(ctx) {
		t.tellNotices()
	}
	if !now.Before(t.refreshNext) {
		t.refresh(ctx)
	}
	if next := t.resolver.Rewatch(); !next.IsZero() && next.Before(t.refreshNext) {
		t.tracer.SetDeadline(next)
		t.rewatching = true
	} else if t.rewatching {
		t.tracer.SetDeadline(t.refreshNext)
		t.rewatching = false
	}
}

func (t *Trace) tellNotices() {
	for _, n := range t.tracer.Notices() {
		t.notice(n)
	}
}

// refresh looks for namespaces' tables for no more than a tenth of the time, but
// at least every refreshAtLeast.
func (t *Trace) refresh(ctx context.Context) {
	t.collectLosses()
	err := errors.Join(t.tracer.SetClock(), t.refreshModules(ctx))
	start := time.Now()
	err = errors.Join(err, t.resolver.Prepare(ctx))
	if err != nil && ctx.Err() == nil {
		t.notice(err.Error())
	}
	pause := min(max(refreshEvery, 10*time.Since(start)), refreshAtLeast)
	t.refreshNext = time.Now().Add(pause)
	t.tracer.SetDeadline(t.refreshNext)
}

// refreshModules looks whether modules came or went since the last time.
func (t *Trace) refreshModules(ctx context.Context) error {
	modules, err := os.ReadFile("/proc/modules")
	if err != nil {
		return nil // a kernel without modules
	}
	// Use counts change all the time, names do not.
	names := moduleNames(modules)
	if names == t.modules {
		return nil
	}
	t.modules = names
	if err := t.symbols.Reload(); err != nil {
		return err
	}
	err = t.tracer.Refresh(ctx, Symbols(t.symbols.Table()))
	t.modulesSince = time.Now()
	t.tellNotices()
	return err
}

// probesComplete reports whether the modules were those that have their probes:
// known before that time, and still the same now.
func (t *Trace) probesComplete(at time.Time) bool {
	if !t.modulesSince.Before(at) {
		return false
	}
	if t.modulesSeen.After(at) {
		return true
	}
	modules, err := os.ReadFile("/proc/modules")
	if err == nil && moduleNames(modules) != t.modules {
		return false
	}
	t.modulesSeen = time.Now()
	return true
}

func moduleNames(modules []byte) string {
	var names strings.Builder
	for line := range bytes.Lines(modules) {
		name, _, _ := bytes.Cut(line, []byte(" "))
		names.Write(name)
		names.WriteByte(' ')
	}
	return names.String()
}
