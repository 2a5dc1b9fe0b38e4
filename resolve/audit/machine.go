package audit

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// Machine is what one network namespace says of itself, its rules aside. Numbers
// that the kernel does not give are nil.
type Machine struct {
	Conntrack  Conntrack
	Interfaces []Interface
	// Forwarding is net.ipv4.ip_forward and Forwarding6
	// net.ipv6.conf.all.forwarding.
	Forwarding, Forwarding6 *int
	// SomeForward: net.ipv4.conf.NAME.forwarding is on for some interface.
	SomeForward bool
	// BridgeCalls is net.bridge.bridge-nf-call-iptables and BridgeCalls6 that
	// of ip6tables; nil where br_netfilter is not loaded.
	BridgeCalls, BridgeCalls6 *int
}

// Conntrack is the fill level of the table.
type Conntrack struct {
	// Count and Max of entries; Buckets of the hash table. Max and Buckets are
	// the whole machine's, Count is the namespace's.
	Count, Max, Buckets *int
	Stats               ConntrackStats
}

// ConntrackStats are what `conntrack -S` shows, added up over the CPUs. Known is
// false where the kernel does not show them.
type ConntrackStats struct {
	Known                         bool
	Drop, EarlyDrop, InsertFailed uint64
	Invalid, ChainTooLong         uint64
}

// Interface is one network interface.
type Interface struct {
	Name   string
	Index  int
	Kind   string // veth, bridge, …; device for hardware
	Up     bool
	Master int // index of the bridge or bond that it belongs to
}

// ReadMachine reads the namespace of the calling thread. Looking loads no
// module. What could not be read is absent, and named by the error.
func ReadMachine() (*Machine, error) {
	m := &Machine{}
	var errs []error
	for name, to := range map[string]**int{
		"netfilter/nf_conntrack_count":    &m.Conntrack.Count,
		"netfilter/nf_conntrack_max":      &m.Conntrack.Max,
		"netfilter/nf_conntrack_buckets":  &m.Conntrack.Buckets,
		"ipv4/ip_forward":                 &m.Forwarding,
		"ipv6/conf/all/forwarding":        &m.Forwarding6,
		"bridge/bridge-nf-call-iptables":  &m.BridgeCalls,
		"bridge/bridge-nf-call-ip6tables": &m.BridgeCalls6,
	} {
		n, err := sysctl(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		*to = n
	}
	var err error
	if m.Conntrack.Stats, err = readConntrackStats(); err != nil {
		errs = append(errs, err)
	}
	if m.Interfaces, err = readInterfaces(); err != nil {
		errs = append(errs, err)
	}
	for _, i := range m.Interfaces {
		on, err := sysctl("ipv4/conf/" + i.Name + "/forwarding")
		m.SomeForward = m.SomeForward || err == nil && on != nil && *on != 0
	}
	return m, errors.Join(errs...)
}

// sysctl reads a number below /proc/sys/net, nil where there is none.
func sysctl(name string) (*int, error) {
	b, err := os.ReadFile("/proc/sys/net/" + name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read sysctl: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("sysctl %s: %w", name, err)
	}
	return &n, nil
}

func readInterfaces() ([]Interface, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []Interface
	for _, l := range links {
		a := l.Attrs()
		out = append(out, Interface{
			Name: a.Name, Index: a.Index, Kind: l.Type(), Master: a.MasterIndex,
			Up: a.Flags&1 != 0, // IFF_UP
		})
	}
	return out, nil
}
