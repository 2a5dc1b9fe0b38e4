package live

// ArgumentError is a value of Config that means nothing on this machine.
type ArgumentError struct {
	Err  error
	Near []string // names that may have been meant
}

func (e *ArgumentError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ArgumentError) Unwrap() error { return e.Err }

// ExpressionError is what package expression says of Config.Expression.
type ExpressionError struct{ Err error }

func (e *ExpressionError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ExpressionError) Unwrap() error { return e.Err }
