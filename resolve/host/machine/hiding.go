package machine

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
)

// Hiding lists, in plain words, what on the interfaces that want accepts may end
// or carry a packet unseen: XDP and tc programs, which have verdicts of their
// own, and IPVS. It looks in the namespace of the calling thread. The error says
// what could not be looked at; the list is good as far as it goes.
func Hiding(want func(name string) bool) ([]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []string
	var failed error
	for _, l := range links {
		if !want(l.Attrs().Name) {
			continue
		}
		if xdp := l.Attrs().Xdp; xdp != nil && xdp.Attached {
			out = append(out, fmt.Sprintf("an XDP program on %s (id %d): it drops before the kernel has a packet",
				l.Attrs().Name, xdp.ProgId))
		}
		tc, err := trafficControl(l)
		failed = errors.Join(failed, err)
		out = append(out, tc...)
	}
	if balances("/proc/net/ip_vs") {
		out = append(out, "IPVS: it takes packets for its services off the usual path")
	}
	return out, failed
}

// trafficControl looks for filters at the two places where tc may drop.
func trafficControl(l netlink.Link) ([]string, error) {
	var out []string
	for _, side := range []struct {
		parent uint32
		name   string
	}{{netlink.HANDLE_MIN_INGRESS, "ingress"}, {netlink.HANDLE_MIN_EGRESS, "egress"}} {
		filters, err := netlink.FilterList(l, side.parent)
		if err != nil {
			return out, fmt.Errorf("list tc filters of %s: %w", l.Attrs().Name, err)
		}
		if len(filters) > 0 {
			out = append(out, fmt.Sprintf("%d tc filters at %s of %s: their drops carry a reason only since 6.8",
				len(filters), side.name, l.Attrs().Name))
		}
	}
	return out, nil
}

// balances reports whether IPVS has a service: its table begins with a heading
// of three lines.
func balances(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // not in this kernel
	}
	defer f.Close()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		lines++
	}
	return lines > 3
}
