package ipset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// ErrSyntax is returned for what `ipset save` does not print.
var ErrSyntax = errors.New("ipset does not print this")

// Parse reads what `ipset save` prints. An error names the line. Times left are
// those of when it was saved.
func Parse(r io.Reader) (Sets, error) {
	d := newDecoder()
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		if err := d.line(lines.Text()); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return d.finish(), nil
}

// line reads `create NAME TYPE options` or `add NAME ELEMENT options`.
func (d *decoder) line(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil
	}
	if len(words) < 3 {
		return fmt.Errorf("%q: %w", line, ErrSyntax)
	}
	switch words[0] {
	case "create":
		return d.create(words[1], words[2], words[3:])
	case "add":
		s := d.sets[words[1]]
		if s == nil {
			return fmt.Errorf("set %q was not created: %w", words[1], ErrSyntax)
		}
		return d.addText(s, words[2], words[3:])
	}
	return fmt.Errorf("%q: %w", words[0], ErrSyntax)
}

func (d *decoder) create(name, typ string, options []string) error {
	if d.sets[name] != nil {
		return fmt.Errorf("set %q is created twice: %w", name, ErrSyntax)
	}
	family := ""
	if !strings.HasPrefix(typ, "list:") && typ != "bitmap:port" && typ != "hash:mac" {
		family = "ip"
	}
	s := newSet(name, typ, family)
	for i, o := range options {
		value := ""
		if i+1 < len(options) {
			value = options[i+1]
		}
		switch o {
		case "family":
			if value == "inet6" {
				s.Family = "ip6"
			}
		case "netmask":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > 128 {
				return fmt.Errorf("netmask %q: %w", value, ErrSyntax)
			}
			s.netmask = n
		case "bitmask":
			s.bitmask = []byte(value)
		case "markmask":
			n, err := strconv.ParseUint(value, 0, 32)
			if err != nil {
				return fmt.Errorf("markmask %q: %w", value, ErrSyntax)
			}
			s.MarkMask = uint32(n)
		}
	}
	d.sets[name] = s
	return nil
}

// addText adds an element as ipset writes it: dimensions with commas between.
func (d *decoder) addText(s *Set, text string, options []string) error {
	if s.Type == "list:set" {
		s.members = append(s.members, text)
		return nil
	}
	var e ruleset.Element
	wild := false
options:
	for i, o := range options {
		switch o {
		case "nomatch":
			e.NoMatch = true
		case "wildcard":
			wild = true
		case "timeout":
			if i+1 < len(options) {
				n, _ := strconv.Atoi(options[i+1])
				e.Expires = time.Duration(n) * time.Second
			}
		case "comment":
			e.Comment = comment(options[i+1:])
			break options
		}
	}
	parts := strings.Split(text, ",")
	if s.Type == "bitmap:ip,mac" && len(parts) == 1 {
		parts = append(parts, "")
	}
	if len(parts) != len(s.Dimensions) {
		return fmt.Errorf("element %q of %s: %w", text, s.Type, ErrSyntax)
	}
	for i, dimension := range s.Dimensions {
		from, to, ok := s.textValue(dimension, parts[i], wild)
		switch {
		case !ok && dimension == "port" && strings.Contains(parts[i], ":"):
			d.failed[s] = true // a protocol or an ICMP type whose name is not known
			return nil
		case !ok:
			return fmt.Errorf("element %q of %s: %w", text, s.Type, ErrSyntax)
		}
		e.From, e.To = append(e.From, from...), append(e.To, to...)
	}
	if s.bitmask != nil || strings.Contains(text, "physdev:") {
		d.failed[s] = true
		return nil
	}
	d.add(s, e)
	return nil
}

// comment is what stands in quotes; other options follow it.
func comment(words []string) string {
	text := strings.TrimPrefix(strings.Join(words, " "), `"`)
	text, _, _ = strings.Cut(text, `"`)
	return text
}

func (s *Set) textValue(dimension, text string, wild bool) (from, to []byte, ok bool) {
	switch dimension {
	case "ip", "net":
		return s.textNetwork(text)
	case "port":
		return textPort(text)
	case "mac":
		if text == "" {
			return mac(s.Type, nil)
		}
		b, err := net.ParseMAC(text)
		return b, b, err == nil && len(b) == 6
	case "iface":
		return interfaceName(strings.TrimPrefix(text, "physdev:"), wild)
	case "mark":
		n, err := strconv.ParseUint(text, 0, 32)
		b := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		return b, b, err == nil
	}
	return nil, nil, false
}

func (s *Set) textNetwork(text string) (from, to []byte, ok bool) {
	address, bits, hasBits := strings.Cut(text, "/")
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" || len(a.AsSlice()) != s.addressSize() {
		return nil, nil, false
	}
	size := 8 * s.addressSize()
	n := size
	if s.netmask > 0 {
		n = min(n, s.netmask)
	}
	if hasBits {
		if n, err = strconv.Atoi(bits); err != nil || n < 0 || n > size {
			return nil, nil, false
		}
	}
	from, to = maskOff(a.AsSlice(), n)
	return from, to, true
}

// textPort reads `tcp:80`, `80`, `icmp:echo-request` or `47:0`; bitmap:port has
// no protocol.
func textPort(text string) (from, to []byte, ok bool) {
	protocol, port, hasProtocol := strings.Cut(text, ":")
	number := byte(0)
	if !hasProtocol {
		port = protocol
	} else {
		n, known := protocolNumber(protocol)
		if !known {
			return nil, nil, false
		}
		number = n
	}
	if number == protoICMP || number == protoICMPv6 {
		typ, code, hasCode := strings.Cut(port, "/")
		t, err := strconv.ParseUint(typ, 10, 8)
		c, err2 := strconv.ParseUint(code, 10, 8)
		b := []byte{number, byte(t), byte(c)}
		if hasCode && err == nil && err2 == nil {
			return b, b, true
		}
		b, ok = icmpName(number, port)
		return b, b, ok
	}
	n, err := strconv.ParseUint(port, 10, 16)
	b := []byte{number, byte(n >> 8), byte(n)}
	return b, b, err == nil
}

const (
	protoICMP   = 1
	protoICMPv6 = 58
)

// protocolNumber knows the protocols that ipset takes a port of, and some more.
func protocolNumber(name string) (byte, bool) {
	switch name {
	case "tcp":
		return protoTCP, true
	case "udp":
		return protoUDP, true
	case "udplite":
		return 136, true
	case "sctp":
		return 132, true
	case "icmp":
		return protoICMP, true
	case "icmpv6", "ipv6-icmp":
		return protoICMPv6, true
	case "gre":
		return 47, true
	case "esp":
		return 50, true
	case "ah":
		return 51, true
	}
	n, err := strconv.ParseUint(name, 10, 8)
	return byte(n), err == nil
}

// icmpName knows the types that people name.
func icmpName(protocol byte, name string) ([]byte, bool) {
	types := map[string]byte{"echo-request": 8, "ping": 8, "echo-reply": 0, "pong": 0}
	if protocol == protoICMPv6 {
		types = map[string]byte{"echo-request": 128, "ping": 128, "echo-reply": 129, "pong": 129}
	}
	typ, ok := types[name]
	return []byte{protocol, typ, 0}, ok
}
