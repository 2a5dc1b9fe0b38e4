package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Synproxy is what synproxy has counted in a namespace.
type Synproxy struct {
	SYNs    uint64 // answered in place of a server
	Valid   uint64 // ACKs that brought their cookie back: these connections go on
	Invalid uint64 // ACKs with a wrong one, which are dropped
}

// Since returns what was counted after before.
func (s Synproxy) Since(before Synproxy) Synproxy {
	return Synproxy{s.SYNs - before.SYNs, s.Valid - before.Valid, s.Invalid - before.Invalid}
}

// ReadSynproxy sums the counters over CPUs, in the namespace of the calling thread.
// They are zero where the kernel has no synproxy loaded.
func ReadSynproxy() (Synproxy, error) { return readSynproxy("/proc/thread-self/net/stat/synproxy") }

func readSynproxy(path string) (sum Synproxy, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return sum, nil
	}
	if err != nil {
		return sum, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan() // the heading: entries syn_received cookie_invalid cookie_valid ...
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		for i, counter := range []*uint64{1: &sum.SYNs, 2: &sum.Invalid, 3: &sum.Valid} {
			if counter == nil {
				continue
			}
			if i >= len(fields) {
				return Synproxy{}, fmt.Errorf("%s: %d columns, want more", path, len(fields))
			}
			n, err := strconv.ParseUint(fields[i], 16, 32)
			if err != nil {
				return Synproxy{}, fmt.Errorf("%s: %w", path, err)
			}
			*counter += n
		}
	}
	return sum, lines.Err()
}
