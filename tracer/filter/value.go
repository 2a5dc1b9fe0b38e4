package filter

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/tracer/packet"
)

func parseProtocol(s string) (packet.Protocol, error) {
	p, ok := packet.ParseProtocol(s)
	if !ok {
		return 0, wrong("is no protocol",
			"want tcp, udp, icmp, icmpv6, sctp, gre, esp, ah, udplite, or another's number up to 255")
	}
	return p, nil
}

// parseName takes any name of a table or chain: nft restricts them only in its
// own grammar.
func parseName(s string) (string, error) {
	if s == "" {
		return "", wrong("is empty", "")
	}
	return s, nil
}

func parseState(s string) (string, error) {
	state := strings.ToLower(s) // iptables writes NEW
	if slices.Contains([]string{"new", "established", "related", "invalid", "untracked"}, state) {
		return state, nil
	}
	return "", wrong("is no conntrack state", "want new, established, related, invalid or untracked")
}

// mark is met by a packet whose mark has value in the bits of mask.
type mark struct{ value, mask uint32 }

// parseMark reads iptables's form, in any base that C knows.
func parseMark(s string) (mark, error) {
	const hint = "want VALUE or VALUE/MASK, each up to 0xffffffff"
	value, bits, masked := strings.Cut(s, "/")
	if !masked {
		bits = "0xffffffff"
	}
	v, errValue := strconv.ParseUint(value, 0, 32)
	m, errMask := strconv.ParseUint(bits, 0, 32)
	switch {
	case errValue != nil || errMask != nil:
		return mark{}, wrong("is no mark", hint)
	case v&^m != 0:
		return mark{}, wrong("has bits outside its mask, so that no packet can have it", "widen the mask")
	}
	return mark{uint32(v), uint32(m)}, nil
}

// ifaceName is an interface's name, or the beginning of it.
type ifaceName struct {
	text   string
	prefix bool
}

// ifaceLength is the kernel's: 16 bytes with the NUL.
const ifaceLength = 15

// IsWildcard reports whether the value of --iface, --in or --out stands for any
// number of interfaces: iptables's eth+ or a shell's eth*.
func IsWildcard(name string) bool {
	return strings.HasSuffix(name, "+") || strings.HasSuffix(name, "*")
}

func parseIface(s string) (ifaceName, error) {
	n := ifaceName{text: s}
	if IsWildcard(s) {
		n = ifaceName{text: s[:len(s)-1], prefix: true}
	}
	switch {
	case n.text == "" && !n.prefix:
		return n, wrong("is empty", "")
	case len(n.text) > ifaceLength:
		return n, wrong("is too long for an interface's name", "names have at most 15 bytes")
	case strings.Contains(n.text, "*"):
		return n, wrong("has a * that is not its end", "want a name, or its beginning and * or +")
	case strings.ContainsAny(n.text, "/: \t\n\r\v\f\x00"):
		return n, wrong("holds a character that no interface's name can have", "see ip link")
	}
	return n, nil
}

// matches compares with a name as the kernel keeps it, ended by a NUL. An empty
// name is no interface, so that not even * matches it.
func (n ifaceName) matches(name *[16]byte) bool {
	b, _, _ := bytes.Cut(name[:], []byte{0})
	if n.prefix {
		return len(b) > 0 && bytes.HasPrefix(b, []byte(n.text))
	}
	return string(b) == n.text
}
