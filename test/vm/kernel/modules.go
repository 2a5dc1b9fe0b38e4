package kernel

import (
	"path"
	"slices"
	"strings"
)

// moduleFolders and moduleNames are what tests of a packet tracer may load.
func moduleFolders() []string {
	return []string{
		"kernel/crypto/",
		"kernel/net/802/",
		"kernel/net/8021q/",
		"kernel/net/bridge/",
		"kernel/net/core/",
		"kernel/net/ipv4/",
		"kernel/net/ipv6/",
		"kernel/net/llc/",
		"kernel/net/mpls/",
		"kernel/net/netfilter/",
		"kernel/net/netlink/",
		"kernel/net/packet/",
		"kernel/net/sched/",
		"kernel/net/sctp/",
		"kernel/net/unix/",
		"kernel/net/xfrm/",
	}
}

func moduleNames() []string {
	return []string{
		"bonding", "dummy", "geneve", "ifb", "ipvlan", "macvlan", "netdevsim",
		"nlmon", "ts_bm", "ts_fsm", "ts_kmp", "tun", "veth", "vrf", "vxlan", "wireguard",
	}
}

// chooseModules returns the modules of a modules.dep that a guest may need,
// with all that they depend on, as paths below the modules' folder.
func chooseModules(dep, softdep string) []string {
	depends := make(map[string][]string) // by path
	paths := make(map[string]string)     // by name
	for line := range strings.Lines(dep) {
		module, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		depends[module] = strings.Fields(rest)
		paths[moduleName(module)] = module
	}
	for name, others := range parseSoftdep(softdep) {
		module := paths[name]
		for _, other := range others {
			// One that is built in has no path.
			if p, ok := paths[other]; ok {
				depends[module] = append(depends[module], p)
			}
		}
	}

	chosen := make(map[string]bool)
	var choose func(string)
	choose = func(module string) {
		if chosen[module] {
			return
		}
		chosen[module] = true
		for _, d := range depends[module] {
			choose(d)
		}
	}
	folders, names := moduleFolders(), moduleNames()
	for module := range depends {
		inFolder := slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(module, f) })
		if inFolder || slices.Contains(names, moduleName(module)) {
			choose(module)
		}
	}
	var sorted []string
	for module := range chosen {
		sorted = append(sorted, module)
	}
	slices.Sort(sorted)
	return sorted
}

// parseSoftdep reads lines of `softdep name pre: a b post: c`.
func parseSoftdep(softdep string) map[string][]string {
	others := make(map[string][]string)
	for line := range strings.Lines(softdep) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "softdep" {
			continue
		}
		name := canonical(fields[1])
		for _, f := range fields[2:] {
			if !strings.HasSuffix(f, ":") {
				others[name] = append(others[name], canonical(f))
			}
		}
	}
	return others
}

func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return canonical(name)
}

// canonical spells a module's name as the kernel does: files may have dashes.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }
