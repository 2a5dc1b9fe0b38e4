package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

const (
	procStats  = "/proc/thread-self/net/stat/nf_conntrack"
	procLimits = "/proc/sys/net/netfilter/nf_conntrack_"
)

// parseStats reads /proc/net/stat/nf_conntrack: a line of names, then a line of
// hexadecimal numbers for each possible CPU, in their order
// (ct_cpu_seq_show of net/netfilter/nf_conntrack_standalone.c). Columns are found
// by name: what stood in one changed with 5.9 and 5.15.
func parseStats(r io.Reader) (Stats, error) {
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		return nil, errors.Join(errMalformed, lines.Err())
	}
	names := strings.Fields(lines.Text())
	var s Stats
	for lines.Scan() {
		values := strings.Fields(lines.Text())
		if len(values) < len(names) {
			return nil, errMalformed
		}
		c := CPU{ID: len(s)}
		for i, name := range names {
			v, err := strconv.ParseUint(values[i], 16, 32)
			if err != nil {
				return nil, fmt.Errorf("%w: %s %.20q", errMalformed, name, values[i])
			}
			if dst := c.column(name); dst != nil {
				*dst = uint32(v)
			}
		}
		s = append(s, c)
	}
	return s, lines.Err()
}

// column returns nil for a column that is of no use, or always 0. chainlength is
// chaintoolong from 5.15 on; before it stood for nothing (delete_list, always 0).
func (c *CPU) column(name string) *uint32 {
	switch name {
	case "clashres":
		return &c.ClashResolve
	case "found":
		return &c.Found
	case "invalid":
		return &c.Invalid
	case "chainlength":
		return &c.ChainTooLong
	case "insert":
		return &c.Insert
	case "insert_failed":
		return &c.InsertFailed
	case "drop":
		return &c.Drop
	case "early_drop":
		return &c.EarlyDrop
	case "icmp_error":
		return &c.Error
	case "search_restart":
		return &c.SearchRestart
	}
	return nil
}

// Limits say how full a table is.
type Limits struct {
	Count   uint64 `json:"count"`
	Max     uint64 `json:"max"` // 0: no limit
	Buckets uint64 `json:"buckets"`
}

// ReadLimits reads count, maximum and hash buckets. It must run inside the
// namespace (Namespace.Do). The error is [ErrNoConntrack] where there is none.
func ReadLimits() (Limits, error) {
	var l Limits
	for _, f := range []struct {
		name string
		dst  *uint64
	}{{"count", &l.Count}, {"max", &l.Max}, {"buckets", &l.Buckets}} {
		v, err := readNumber(procLimits + f.name)
		if errors.Is(err, fs.ErrNotExist) {
			return Limits{}, ErrNoConntrack
		}
		if err != nil {
			return Limits{}, fmt.Errorf("read limits of conntrack: %w", err)
		}
		*f.dst = v
	}
	return l, nil
}

func readNumber(path string) (uint64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64)
}

// readProcStats must run inside the namespace.
func readProcStats() (Stats, error) {
	f, err := os.Open(procStats)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseStats(f)
}
