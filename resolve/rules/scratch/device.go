package scratch

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxDevices bounds how many interfaces stand in for those that a ruleset names.
const maxDevices = 256

// withDevices runs a program on the input, in which nft may need interfaces to
// exist: those it hooks (device eth0) and those it names by index (iif eth0).
func (n *Namespace) withDevices(input string, run func() (string, error)) (string, error) {
	for _, name := range devices(input) {
		if err := n.addDevice(name); err != nil {
			return "", err
		}
	}
	return run()
}

// devices are the names of interfaces that have to exist for nft to take the
// input: iifname and its kin need none.
func devices(input string) []string {
	const list = `(\{[^}]*\}|"[^"]*"|[^\s{};]+)`
	var found []string
	for _, expression := range []string{
		`\b(?:iif|oif)\s+(?:!=\s*|==\s*|vmap\s*|map\s*)?` + list,
		`\bdevices?\s*=?\s*` + list,
		`\btype\s+iface_index\b[^}]*?elements\s*=\s*` + list,
	} {
		for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(input, -1) {
			for _, name := range regexp.MustCompile(`"[^"]*"|[^\s{},"]+`).FindAllString(m[1], -1) {
				name = strings.Trim(name, `"`)
				if isDevice(name) && !slices.Contains(found, name) {
					found = append(found, name)
				}
			}
		}
	}
	return found
}

// isDevice leaves out what cannot be an interface's name, and verdicts of maps.
func isDevice(name string) bool {
	if name == "" || len(name) >= unix.IFNAMSIZ || name == "lo" || strings.ContainsAny(name, "/:@$*{}") {
		return false
	}
	switch name {
	case "accept", "drop", "continue", "return", "jump", "goto", "type", "vmap", "map", ".", "..":
		return false
	}
	return strings.Trim(name, "0123456789") != "" // a plain number is an index
}

// addDevice makes an interface of that name, unless there is one.
func (n *Namespace) addDevice(name string) error {
	if slices.Contains(n.devices, name) {
		return nil
	}
	if len(n.devices) >= maxDevices {
		return fmt.Errorf("more than %d interfaces in the ruleset", maxDevices)
	}
	err := n.Do(func() error {
		if _, err := net.InterfaceByName(name); err == nil {
			return nil
		}
		return n.standIn(name)
	})
	if err != nil {
		return fmt.Errorf("make interface %q: %w", name, err)
	}
	n.devices = append(n.devices, name)
	return nil
}

// deviceIndex is the one that an interface has where the copied rules come from, for
// another one a number that none there has, and 0, any, where nothing was copied.
func (n *Namespace) deviceIndex(name string) int {
	if index, ok := n.indexes[name]; ok || n.indexes == nil {
		return index
	}
	last := 0
	for _, index := range n.indexes {
		last = max(last, index)
	}
	n.indexes[name] = last + 1
	return last + 1
}

// standIn makes an interface of any kind that the kernel has without loading a
// module. It stays down.
func (n *Namespace) standIn(name string) error {
	loaded, err := n.kernel.loaded()
	if err != nil {
		return err
	}
	loadable, err := n.kernel.loadable()
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = name, n.deviceIndex(name)
	failed := fmt.Errorf("%w: modprobe dummy", ErrModule)
	for _, link := range []netlink.Link{
		&netlink.Dummy{LinkAttrs: attrs}, &netlink.Ifb{LinkAttrs: attrs}, &netlink.Bridge{LinkAttrs: attrs},
		&netlink.Veth{LinkAttrs: attrs, PeerName: fmt.Sprintf("peer%d", len(n.devices))},
	} {
		if loaded != nil && loadable[link.Type()] && !loaded[link.Type()] {
			continue
		}
		err := netlink.LinkAdd(link)
		if err == nil || errors.Is(err, unix.EEXIST) {
			return nil
		}
		if !errors.Is(err, unix.EOPNOTSUPP) {
			failed = err
		}
	}
	return failed
}

// Devices are the names of the namespace's interfaces by their index. Rules that
// were loaded into it compare with these indexes, not with those of the machine
// that the ruleset is from.
func (n *Namespace) Devices() (map[uint32]string, error) {
	byIndex := make(map[uint32]string)
	err := n.Do(func() error {
		list, err := net.Interfaces()
		for _, i := range list {
			byIndex[uint32(i.Index)] = i.Name
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list interfaces of the scratch namespace: %w", err)
	}
	return byIndex, nil
}
