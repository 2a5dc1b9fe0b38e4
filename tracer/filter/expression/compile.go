package expression

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/bpf"
)

// compileLimit bounds tcpdump, which asks name servers for hosts by name and is
// slow at hundreds of them.
const compileLimit = time.Minute

// emptyCapture is a pcap file with no packet in it, of Ethernet: with a file to
// read tcpdump opens no device and needs no privilege. Version 2.4, snapshot
// length 256 KiB as tcpdump has it.
var emptyCapture = []byte{
	0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
}

// Tcpdump runs tcpdump with these arguments and this input and returns what it printed.
// The error is ErrNoTcpdump where it is not installed, and a *RunError where it failed.
type Tcpdump func(ctx context.Context, input io.Reader, args ...string) ([]byte, error)

// RunError is tcpdump's failure.
type RunError struct {
	Stderr string // what it said
	Err    error  // how it ended
}

func (e *RunError) Error() string { return fmt.Sprintf("run tcpdump: %v: %s", e.Err, e.Stderr) }
func (e *RunError) Unwrap() error { return e.Err }

// Compile has tcpdump compile an expression for Ethernet. The error is a
// *SyntaxError, ErrNoTcpdump, ErrUnsupported, or about running tcpdump.
func Compile(ctx context.Context, tcpdump Tcpdump, text string) (*Program, error) {
	ctx, cancel := context.WithTimeout(ctx, compileLimit)
	defer cancel()
	out, err := tcpdump(ctx, bytes.NewReader(emptyCapture), "-ddd", "-r", "-", "--", text)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("compile expression %q with tcpdump: %w", text, ctx.Err())
	}
	if failed, ok := errors.AsType[*RunError](err); ok {
		return nil, &SyntaxError{Expression: text, Message: complaint(failed.Stderr)}
	}
	if errors.Is(err, ErrNoTcpdump) {
		return nil, fmt.Errorf("expression %q: %w", text, ErrNoTcpdump)
	}
	if err != nil {
		return nil, fmt.Errorf("compile expression %q: %w", text, err)
	}
	raw, err := parse(string(out))
	if err != nil {
		return nil, fmt.Errorf("compile expression %q: %w", text, err)
	}
	return newProgram(text, raw)
}

// complaint finds libpcap's own words in what tcpdump printed.
func complaint(stderr string) string {
	var lines []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		message, ok := strings.CutPrefix(line, "tcpdump: ")
		if !ok {
			continue // which file is read
		}
		lines = append(lines, strings.TrimPrefix(message, "can't parse filter expression: "))
	}
	if len(lines) == 0 {
		return strings.TrimSpace(stderr)
	}
	return strings.Join(lines, "; ")
}

// parse reads what `tcpdump -ddd` prints: how many instructions, then each as
// code, jt, jf and k.
func parse(text string) ([]bpf.RawInstruction, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	n, err := strconv.Atoi(lines[0])
	if err != nil || n != len(lines)-1 || n == 0 {
		return nil, fmt.Errorf("tcpdump -ddd printed %d lines, the first is %q", len(lines), lines[0])
	}
	raw := make([]bpf.RawInstruction, 0, n)
	for _, line := range lines[1:] {
		r, err := parseInstruction(strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("tcpdump -ddd printed %q: %w", line, err)
		}
		raw = append(raw, r)
	}
	return raw, nil
}

func parseInstruction(fields []string) (r bpf.RawInstruction, err error) {
	if len(fields) != 4 {
		return r, errors.New("not four numbers")
	}
	var n [4]uint64
	for i, bits := range [...]int{16, 8, 8, 32} {
		if n[i], err = strconv.ParseUint(fields[i], 10, bits); err != nil {
			return r, err
		}
	}
	return bpf.RawInstruction{Op: uint16(n[0]), Jt: uint8(n[1]), Jf: uint8(n[2]), K: uint32(n[3])}, nil
}
