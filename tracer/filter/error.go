package filter

import (
	"errors"
	"fmt"
)

// Error says what is wrong with the value of a flag.
type Error struct {
	Flag    string // without dashes
	Value   string
	Problem string // follows the value in a sentence
	Hint    string // what to write instead; may be empty
}

// Error is one line; the value is quoted.
func (e *Error) Error() string {
	s := fmt.Sprintf("--%s %q %s", e.Flag, e.Value, e.Problem)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// wrong is an Error that does not yet know its flag and value.
func wrong(problem, hint string) error {
	return &Error{Problem: problem, Hint: hint}
}

func withFlag(err error, flag, value string) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Flag, e.Value = flag, value
	}
	return err
}
