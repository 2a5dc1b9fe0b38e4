package filter

import (
	"net/netip"
	"strconv"
	"strings"
)

const hostHint = "want a numeric address or network: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32"

// parseHost reads an address or a network. Bits beyond the network's length are
// dropped, as iptables does it. Names are refused: asking DNS would send packets
// from a machine in trouble.
func parseHost(s string) (netip.Prefix, error) {
	address, length, isPrefix := strings.Cut(s, "/")
	a, err := netip.ParseAddr(address)
	switch {
	case err == nil && a.Zone() != "":
		return netip.Prefix{}, wrong("has a zone", "give the address alone, and --iface "+a.Zone())
	case err == nil:
	case !isPrefix && hasPort(s):
		return netip.Prefix{}, wrong("has a port", "give the address alone, and the port with --port")
	case hasLetter(s) && !strings.Contains(s, ":"):
		return netip.Prefix{}, wrong("is a name, and names are not looked up", hostHint)
	default:
		return netip.Prefix{}, wrong("is no address", hostHint)
	}
	bits := a.BitLen()
	if isPrefix {
		if bits, err = parseLength(a, length); err != nil {
			return netip.Prefix{}, err
		}
	}
	// What a dual-stack socket calls ::ffff:192.0.2.1 is IPv4 in the packet.
	if a.Is4In6() && bits >= 96 {
		a, bits = a.Unmap(), bits-96
	}
	return netip.PrefixFrom(a, bits).Masked(), nil
}

func hasPort(s string) bool {
	_, err := netip.ParseAddrPort(s)
	return err == nil
}

// parseLength reads what stands behind the slash: a number or, as iptables
// prints it, the netmask.
func parseLength(a netip.Addr, s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err == nil && int(n) <= a.BitLen() {
		return int(n), nil
	}
	if mask, err := netip.ParseAddr(s); err == nil && mask.Is4() && a.Is4() {
		for bits := range 33 {
			if netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), bits).Masked().Addr() == mask {
				return bits, nil
			}
		}
	}
	return 0, wrong("has no length of a network behind the slash", "want 0 to "+strconv.Itoa(a.BitLen()))
}
