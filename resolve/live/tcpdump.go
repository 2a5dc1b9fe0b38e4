package live

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/tracer/filter/expression"
)

// Tcpdump runs tcpdump for the tracer, which runs no programs itself.
func Tcpdump(r program.Runner) expression.Tcpdump {
	r.Timeout = time.Minute // it may ask name servers
	return func(ctx context.Context, input io.Reader, args ...string) ([]byte, error) {
		path, err := r.Find("tcpdump")
		if err != nil {
			return nil, expression.ErrNoTcpdump
		}
		out, err := r.Run(ctx, program.Command{Path: path, Args: args, Input: input})
		if e, ok := errors.AsType[*program.Error](err); ok {
			return nil, &expression.RunError{Stderr: e.Stderr, Err: e.Err}
		}
		return out, err
	}
}
