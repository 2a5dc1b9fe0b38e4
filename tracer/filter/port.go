package filter

import (
	"context"
	"net"
	"strconv"
	"strings"
)

// portRange includes both ends.
type portRange struct{ first, last uint16 }

func (r portRange) contains(port uint16) bool { return r.first <= port && port <= r.last }

const portHint = "want a number up to 65535, a range such as 8000-8010, or a name such as http"

// parsePort reads a number, a range as tcpdump (8000-8010) or iptables
// (8000:8010) writes it, or a service's name.
func parsePort(s string) (portRange, error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		first, last, isRange = strings.Cut(s, ":")
	}
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	switch {
	case errA == nil && errB == nil && a <= b:
		return portRange{uint16(a), uint16(b)}, nil
	case errA == nil && errB == nil:
		return portRange{}, wrong("ends before it begins", "did you mean "+last+"-"+first+"?")
	case !hasLetter(s):
		return portRange{}, wrong("is no port", portHint)
	}
	return parseService(s)
}

// parseService looks into /etc/services; no DNS has part in that. The names of
// other protocols have the numbers of TCP's and UDP's where they are known there.
func parseService(name string) (portRange, error) {
	r := net.Resolver{PreferGo: true}
	for _, network := range []string{"tcp", "udp"} {
		if n, err := r.LookupPort(context.Background(), network, name); err == nil {
			return portRange{uint16(n), uint16(n)}, nil
		}
	}
	return portRange{}, wrong("is no service in /etc/services", portHint)
}

func hasLetter(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' })
}
