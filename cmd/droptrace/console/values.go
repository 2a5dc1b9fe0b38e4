package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/resolve/near"
)

// The headings of --help.
const (
	FilterFlags = "Filters:"
	OutputFlags = "Output:"
	TracerFlags = "Tracing:"
)

// ReadFormat takes --json as the short form of --output json.
func ReadFormat(c *cli.Context, formats ...string) (string, error) {
	format, err := OneOf(c, "output", formats...)
	if err != nil {
		return "", err
	}
	if !c.Bool("json") {
		return format, nil
	}
	if c.IsSet("output") && format != "json" {
		return "", BadUsage(fmt.Errorf("--json and --output %s exclude each other", format), "give one of them")
	}
	return "json", nil
}

// OneOf reads a flag that knows few values; the first is the default.
func OneOf(c *cli.Context, flag string, values ...string) (string, error) {
	v := c.String(flag)
	switch {
	case !c.IsSet(flag):
		return values[0], nil
	case slices.Contains(values, v):
		return v, nil
	}
	hint := "want " + Either(values)
	if n := near.Names(v, values); len(n) > 0 {
		hint = "did you mean " + Either(n) + "?"
	}
	return "", BadUsage(fmt.Errorf("--%s %q is not known", flag, v), hint)
}

// ReadCount reads -c. Nothing is no answer to "end after", so 0 is refused.
func ReadCount(c *cli.Context) (uint64, error) {
	if !c.IsSet("count") {
		return 0, nil
	}
	n, err := strconv.ParseUint(c.String("count"), 10, 63)
	if err != nil || n == 0 {
		return 0, BadUsage(fmt.Errorf("-c %q is no number of drops", c.String("count")), "want 1 or more")
	}
	return n, nil
}

// ReadDuration reads a Go duration. A bare number is refused: seconds and minutes
// would both make sense.
func ReadDuration(c *cli.Context) (time.Duration, error) {
	if !c.IsSet("duration") {
		return 0, nil
	}
	v := c.String("duration")
	d, err := time.ParseDuration(v)
	if err == nil && d > 0 {
		return d, nil
	}
	hint := "want a time such as 30s or 5m"
	if n, err := strconv.ParseUint(v, 10, 32); err == nil && n > 0 {
		hint = "did you mean " + v + "s?"
	}
	return 0, BadUsage(fmt.Errorf("--duration %q is no time", v), hint)
}

// The sizes that a ring buffer may have: less than a page is none, and more
// than a gigabyte is refused by the kernel.
const (
	minBuffer = 64 << 10
	maxBuffer = 1 << 30
)

// ReadSize reads a number of bytes with K, M or G. The ring buffer wants a power
// of two, so that the next one is taken.
func ReadSize(c *cli.Context) (int, error) {
	if !c.IsSet("buffer-size") {
		return 0, nil
	}
	v := c.String("buffer-size")
	number, shift := v, 0
	if v != "" {
		if i := strings.IndexByte("KMG", v[len(v)-1]&^0x20); i >= 0 {
			number, shift = v[:len(v)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if n <<= shift; err != nil || n < minBuffer || n > maxBuffer {
		return 0, BadUsage(fmt.Errorf("--buffer-size %q is no size of a buffer", v), "want 64K to 1G, such as 8M")
	}
	size := minBuffer
	for uint64(size) < n {
		size *= 2
	}
	return size, nil
}

// WholeValues are those of a flag that may be repeated, and whose values may have
// commas in them.
type WholeValues []string

func (v *WholeValues) String() string { return "" }

// Set implements flag.Value.
func (v *WholeValues) Set(s string) error {
	*v = append(*v, s)
	return nil
}

// Whole returns the values of such a flag.
func Whole(c *cli.Context, name string) []string {
	if v, ok := c.Generic(name).(*WholeValues); ok {
		return *v
	}
	return nil
}
