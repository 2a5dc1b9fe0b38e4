package scratch

import (
	"regexp"
	"strconv"
	"strings"
)

// programError takes the line of input out of what a program said.
//
// nft 1.0 writes "/dev/stdin:6:21-21: Error: syntax error, …", iptables-restore
// "iptables-restore: line 5 failed", "Error occurred at line: 5", and of some
// "line 5: RULE_APPEND failed (No such file or directory): rule in chain INPUT".
func programError(program, said string, err error) *ProgramError {
	e := &ProgramError{Program: program, Err: err}
	var lines []string
	place := regexp.MustCompile(`^(?:/dev/stdin|-|<cmdline>|internal:0:0-0)(?::(\d+):\d+-\d+)?: Error: (.*)$`)
	atLine := regexp.MustCompile(`(?i)\bline:? (\d+)\b`)
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\n")
		if m := place.FindStringSubmatch(line); m != nil {
			if e.Line == 0 && len(lines) == 0 {
				e.Line, _ = strconv.Atoi(m[1])
				lines = append(lines, m[2])
			}
			continue
		}
		if program == "nft" {
			if len(lines) == 0 && line != "" {
				lines = append(lines, line)
			}
			continue // the line quoted, and marks under it
		}
		if m := atLine.FindStringSubmatch(line); m != nil && e.Line == 0 {
			e.Line, _ = strconv.Atoi(m[1])
		}
		if useful(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	e.Message = strings.Join(lines, "; ")
	return e
}

// useful leaves out what says nothing of the input.
func useful(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && !strings.HasPrefix(line, "Try `") && !strings.HasPrefix(line, "Error occurred at line")
}
