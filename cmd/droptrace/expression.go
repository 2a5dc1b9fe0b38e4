package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/near"
	"github.com/droptrace/droptrace/tracer/filter/expression"
)

// readExpression joins the words that are no flags, as tcpdump does. One that
// looks like a command is not taken for a host's name.
func readExpression(words []string, commands []*cli.Command) (string, error) {
	if len(words) != 1 {
		return strings.Join(words, " "), nil
	}
	if words[0] == "help" {
		return "", badUsage(errors.New(`"help" is no command`), "droptrace --help lists the flags")
	}
	var names []string
	for _, c := range commands {
		names = append(names, c.Names()...)
	}
	if n := near.Names(words[0], names); len(n) > 0 {
		return "", badUsage(fmt.Errorf("%q is no command", words[0]), "did you mean "+either(n)+"?")
	}
	return words[0], nil
}

// compileExpression returns nil for no expression. What is wrong with one is
// said in libpcap's own words.
func compileExpression(ctx context.Context, programs program.Runner, text string) (*expression.Program, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p, err := expression.Compile(ctx, tcpdump(programs), text)
	if _, ok := errors.AsType[*expression.SyntaxError](err); ok {
		return nil, badUsage(err, "man pcap-filter has the language; flags do it too, see --help")
	}
	switch {
	case errors.Is(err, expression.ErrNoTcpdump):
		return nil, badUsage(err, "droptrace has expressions compiled by it; "+flagsInstead(text))
	case errors.Is(err, expression.ErrUnsupported):
		return nil, badUsage(err, "flags may do it, see --help")
	case err != nil:
		return nil, err
	}
	return p, nil
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

// ethernetFrame gives a recorded packet the form that expressions are about:
// package expression has what it is. length is that of the whole frame.
func ethernetFrame(c *drop.Capture, tags bool) (frame []byte, length int) {
	const addresses, header, tag, cooked = 12, 14, 4, 16
	b := c.Data
	switch {
	case c.Link == drop.LinkEthernet && c.Tagged && !tags && len(b) >= header+tag:
		return slices.Concat(b[:addresses], b[addresses+tag:]), c.Original - tag
	case c.Link == drop.LinkEthernet:
		return b, c.Original
	case c.Link == drop.LinkCooked && len(b) >= cooked:
		return slices.Concat(make([]byte, addresses), b[cooked-2:]), c.Original - cooked + header
	}
	etherType := []byte{0x08, 0x00}
	if len(b) > 0 && b[0]>>4 == 6 {
		etherType = []byte{0x86, 0xdd}
	}
	return slices.Concat(make([]byte, addresses), etherType, b), c.Original + header
}
