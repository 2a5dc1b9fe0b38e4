// Package source is where the commands that trace get their drops from.
package source

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/live"
	"github.com/droptrace/droptrace/tracer"
)

// Source is what the live command reads: this machine, or a test's stand-in.
type Source interface {
	live.Drops
	live.Report
}

// Failures is a source of conntrack failures.
type Failures interface {
	Source
	live.Failures
}

// Opener starts a source. An error may carry hints (console.WithHint), and
// console.BadUsage where a flag's value is wrong.
type Opener func(ctx context.Context, cfg live.Config) (Source, error)

// Open traces this machine, and gives up what it needed only to begin.
func Open(ctx context.Context, cfg live.Config) (Source, error) {
	t, err := live.Open(ctx, cfg)
	if err != nil {
		return nil, Explain(err, cfg.Expression)
	}
	if err := dropPrivileges(cfg.Snaplen > 0); err != nil && cfg.Notify != nil {
		cfg.Notify(drop.Notice{Message: "it goes on with all its privileges: " + err.Error()})
	}
	return t, nil
}

// Explain adds what to do.
func Explain(err error, text string) error {
	if failed, ok := errors.AsType[*live.ExpressionError](err); ok {
		return console.ExpressionFailed(failed.Err, text)
	}
	if wrong, ok := errors.AsType[*live.ArgumentError](err); ok {
		err = wrong.Err
		if len(wrong.Near) > 0 {
			err = console.WithHint(err, "did you mean "+console.Either(wrong.Near)+"?")
		}
		err = console.BadUsage(err)
	}
	switch {
	case errors.Is(err, unix.EMFILE):
		return console.WithHint(err, "droptrace needs more file descriptors: ulimit -n 1024")
	case errors.Is(err, unix.ENFILE):
		return console.WithHint(err, "the machine has no file descriptors left (fs.file-max)")
	case errors.Is(err, tracer.ErrNoKprobes):
		return console.WithHint(err, "--probes auto takes what there is; droptrace doctor lists it")
	case errors.Is(err, tracer.ErrNoReads):
		return console.WithHint(err, "kernel lockdown does that, at confidentiality: see /sys/kernel/security/lockdown")
	case errors.Is(err, tracer.ErrNoBTF):
		return console.WithHint(err, "droptrace needs a kernel with BTF (CONFIG_DEBUG_INFO_BTF=y), 5.10 or later")
	case errors.Is(err, symbol.ErrHidden):
		return console.WithHint(err, "it takes root with CAP_SYSLOG, and kernel.kptr_restrict below 2: sudo droptrace")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		if missing, e := MissingPrivileges(); e == nil && len(missing) == 0 {
			return console.WithHint(err, "the kernel refuses it to root as well: a lockdown or a security module does so")
		}
		return console.WithHint(err, "run it as root: sudo droptrace")
	case errors.Is(err, unix.ENOSYS):
		return console.WithHint(err, "this kernel has no BPF (CONFIG_BPF_SYSCALL)")
	}
	return err
}
