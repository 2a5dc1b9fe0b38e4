package expression

import (
	"bytes"
	"context"
	"io"
	"os/exec"
)

// RunTcpdump is a Tcpdump for tests.
func RunTcpdump(ctx context.Context, input io.Reader, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "tcpdump", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, &RunError{Stderr: stderr.String(), Err: err}
	}
	return stdout.Bytes(), nil
}
