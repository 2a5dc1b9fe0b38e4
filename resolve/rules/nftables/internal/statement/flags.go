package statement

import (
	"fmt"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// hasFlags reports whether the field's bits have names.
func hasFlags(f ruleset.Field) bool { return flagNames(f) != nil }

// flagNames are the names of the field's bits, from the lowest on.
func flagNames(f ruleset.Field) []string {
	switch f {
	case ruleset.CTState:
		return []string{"invalid", "established", "related", "new", "", "", "untracked"}
	case ruleset.CTStatus:
		return []string{
			"expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "seq-adjust",
			"src-nat-done", "dst-nat-done", "dying", "fixed-timeout", "template", "nat-clash", "helper", "offload", "hw-offload",
		}
	case ruleset.TCPFlags:
		return []string{"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"}
	}
	return nil
}

func flagsText(f ruleset.Field, b []byte) string {
	n := number(b)
	if n == 0 {
		return "0x0"
	}
	var set []string
	for i, name := range flagNames(f) {
		if n&(1<<i) != 0 && name != "" {
			set = append(set, name)
			n &^= 1 << i
		}
	}
	if n != 0 {
		set = append(set, fmt.Sprintf("%#x", n))
	}
	return strings.Join(set, ",")
}
