package console

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/drop"
)

// The rules of the messages to people:
//
//   - They go to standard error; standard output is data only.
//   - What happened, to what, what to do now: on one line where one does. A
//     second hint and those after it get a line each.
//   - They begin with the program's name, for pipelines; then lower case, no
//     full stop, the flag or the name they are about as the user wrote it.
//   - What strangers wrote (interface names, rules, the user's own arguments)
//     is escaped.
//   - They are errors, notes (something to know, nothing failed) or the closing
//     summary. There is no other chatter.

// hintError is an error with what to do about it.
type hintError struct {
	err   error
	hints []string
	usage bool // the command line is to blame
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// WithHint returns err with hints for people: sentences in lower case,
// each something to do.
func WithHint(err error, hints ...string) error {
	return &hintError{err: err, hints: hints}
}

// BadUsage is WithHint for an error in the command line: it ends droptrace
// with exit code 2.
func BadUsage(err error, hints ...string) error {
	if h, ok := errors.AsType[*hintError](err); ok {
		hints = append(slices.Clip(h.hints), hints...)
	}
	return &hintError{err: err, hints: hints, usage: true}
}

// Answered ends droptrace with an exit code and without a message: all was said.
type Answered struct{ Code int }

func (a Answered) Error() string { return fmt.Sprintf("exit code %d", a.Code) }

// silent reports whether all was said already.
func silent(err error) bool {
	_, ok := errors.AsType[Answered](err)
	return ok
}

// exitCode is the design's: 0 ended as asked, 1 failed, 2 bad usage, 3 doctor has
// findings.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if a, ok := errors.AsType[Answered](err); ok {
		return a.Code
	}
	if h, ok := errors.AsType[*hintError](err); ok && h.usage {
		return 2
	}
	return 1
}

// printError tells people about err, and about each where several were joined.
func printError(w io.Writer, style output.Style, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			printError(w, style, e)
		}
		return
	}
	var hints []string
	if h, ok := errors.AsType[*hintError](err); ok {
		hints = h.hints
	}
	PrintMessage(w, style, err.Error(), hints)
}

// PrintNotice prints a message that is not an error.
func PrintNotice(w io.Writer, style output.Style, n drop.Notice) {
	PrintMessage(w, style, "note: "+n.Message, n.Hints)
}

// PrintMessage writes at once, so that a line is whole where others write too.
func PrintMessage(w io.Writer, style output.Style, message string, hints []string) {
	var b strings.Builder
	b.WriteString("droptrace: ")
	b.WriteString(output.Escape(message, style.ASCII))
	for i, h := range hints {
		if i == 0 {
			b.WriteString("; ")
		} else {
			b.WriteString("\ndroptrace: ")
		}
		b.WriteString(output.Escape(h, style.ASCII))
	}
	b.WriteByte('\n')
	_, _ = io.WriteString(w, b.String()) // nowhere left to complain
}
