package qemu

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// A report is what a guest said on its second serial port.
type report struct {
	ready, exited time.Time // zero if it never said so
	code          int
	taint         uint64
}

// readReport reads what /init says until the command ended or the guest is
// gone, and calls ready when the command is about to begin.
func readReport(r io.Reader, ready func()) (report, error) {
	var rep report
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch word, rest, _ := strings.Cut(line, " "); word {
		case "ready":
			rep.ready = time.Now()
			ready()
		case "exit":
			if _, err := fmt.Sscanf(rest, "%d %d", &rep.code, &rep.taint); err != nil {
				return rep, fmt.Errorf("read %q from the guest: %w", line, err)
			}
			rep.exited = time.Now()
			return rep, nil
		}
	}
	return rep, lines.Err()
}
