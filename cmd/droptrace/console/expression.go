package console

import (
	"context"
	"errors"
	"strings"

	"github.com/droptrace/droptrace/resolve/host/distribution"
	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/live"
	"github.com/droptrace/droptrace/tracer/filter/expression"
)

// CompileExpression returns nil for no expression. What is wrong with one is
// said in libpcap's own words.
func CompileExpression(ctx context.Context, programs program.Runner, text string) (*expression.Program, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p, err := expression.Compile(ctx, live.Tcpdump(programs), text)
	if err != nil {
		return nil, ExpressionFailed(err, text)
	}
	return p, nil
}

// ExpressionFailed says what to do about an expression that was not compiled.
func ExpressionFailed(err error, text string) error {
	if _, ok := errors.AsType[*expression.SyntaxError](err); ok {
		return BadUsage(err, "man pcap-filter has the language; flags do it too, see --help")
	}
	switch {
	case errors.Is(err, expression.ErrNoTcpdump):
		return BadUsage(err, distribution.Here().Install("tcpdump")+", which compiles expressions; "+flagsInstead(text))
	case errors.Is(err, expression.ErrUnsupported):
		return BadUsage(err, "flags may do it, see --help")
	}
	return err
}

// flagsInstead names the flags that do what an expression says.
func flagsInstead(text string) string {
	if flags := flagsFor(text); flags != "" {
		return "without it: droptrace " + flags
	}
	return "without it flags do most: --port, --sport, --dport, --host, --src, --dst, --proto, see --help"
}

// flagsFor translates primitives that are joined by "and"; for anything else it
// returns "".
func flagsFor(text string) string {
	var flags []string
	words := strings.Fields(text)
	for len(words) > 0 {
		flag, rest := primitiveFlags(words)
		if flag == nil {
			return ""
		}
		flags = append(flags, flag...)
		if words = rest; len(words) == 0 {
			break
		}
		if words[0] != "and" && words[0] != "&&" || len(words) == 1 {
			return ""
		}
		words = words[1:]
	}
	return strings.Join(flags, " ")
}

// primitiveFlags translates the first primitive, such as "tcp dst port 80".
func primitiveFlags(words []string) (flags, rest []string) {
	protocols := map[string]string{
		"tcp": "tcp", "udp": "udp", "sctp": "sctp", "icmp": "icmp", "icmp6": "icmpv6", "igmp": "igmp", "esp": "esp", "ah": "ah",
	}
	if p, ok := protocols[words[0]]; ok {
		flags, words = []string{"--proto " + p}, words[1:]
	}
	if len(words) == 0 || flags != nil && (words[0] == "and" || words[0] == "&&") {
		return flags, words
	}
	side := ""
	if words[0] == "src" || words[0] == "dst" {
		side, words = words[0], words[1:]
	}
	kind := "host"
	if len(words) > 1 {
		switch words[0] {
		case "host", "net", "port", "portrange":
			kind, words = words[0], words[1:]
		default:
			if side == "" {
				return nil, nil
			}
		}
	} else if side == "" {
		return nil, nil
	}
	if len(words) == 0 || strings.ContainsAny(words[0], "()[]!<>=&|") {
		return nil, nil
	}
	names := map[string]string{"src": "--src", "dst": "--dst", "": "--host"}
	if strings.HasPrefix(kind, "port") {
		names = map[string]string{"src": "--sport", "dst": "--dport", "": "--port"}
	}
	return append(flags, names[side]+" "+words[0]), words[1:]
}
