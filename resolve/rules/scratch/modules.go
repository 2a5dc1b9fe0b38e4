package scratch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// ErrModule is returned for what would load a kernel module that is not loaded:
// that would change the machine, and stay. The error says which; whoever wants
// the answer may load it.
var ErrModule = errors.New("needs kernel modules that are not loaded")

// kernel is where the running kernel and its modules are found: "/", or what a
// test has made.
type kernel struct {
	root    string
	release string // of uname; empty for the running one
}

// missing are the modules that loading the input would bring into the kernel:
// those that it needs, as far as words tell, that modprobe could find, and that
// are not there.
func (k kernel) missing(engine ruleset.Engine, input string) ([]string, error) {
	return k.absent(needs(engine, input))
}

// absent are those of the modules that modprobe could bring into the kernel.
func (k kernel) absent(names []string) ([]string, error) {
	loaded, err := k.loaded()
	if err != nil || loaded == nil {
		return nil, err
	}
	loadable, err := k.loadable()
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, name := range names {
		if loadable[name] && !loaded[name] && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// loaded are the modules in the kernel. It is nil where none can come: a kernel
// without modules, or one that takes no more (kernel.modules_disabled).
func (k kernel) loaded() (map[string]bool, error) {
	if b, err := os.ReadFile(filepath.Join(k.root, "proc/sys/kernel/modules_disabled")); err == nil && string(bytes.TrimSpace(b)) == "1" {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(k.root, "proc/modules"))
	if errors.Is(err, fs.ErrNotExist) {
		// CONFIG_MODULES=n, if there is a /proc at all.
		if _, err := os.Stat(filepath.Join(k.root, "proc/self")); err != nil {
			return nil, fmt.Errorf("look for kernel modules: %w", err)
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for kernel modules: %w", err)
	}
	loaded := make(map[string]bool)
	for line := range strings.Lines(string(b)) {
		name, _, _ := strings.Cut(line, " ")
		loaded[name] = true
	}
	return loaded, nil
}

// loadable are the modules that modprobe knows. Where there is no list, any may
// be: the names then come from outside, and none is known to be built in.
func (k kernel) loadable() (map[string]bool, error) {
	release := k.release
	if release == "" {
		var u unix.Utsname
		if err := unix.Uname(&u); err != nil {
			return nil, fmt.Errorf("look for kernel modules: %w", err)
		}
		release = unix.ByteSliceToString(u.Release[:])
	}
	f, err := os.Open(filepath.Join(k.root, "lib/modules", release, "modules.dep"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // modprobe finds nothing either
	}
	if err != nil {
		return nil, fmt.Errorf("look for kernel modules: %w", err)
	}
	defer f.Close()
	names := make(map[string]bool)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		path, _, _ := strings.Cut(lines.Text(), ":")
		name, _, _ := strings.Cut(filepath.Base(path), ".ko")
		names[strings.ReplaceAll(name, "-", "_")] = true
	}
	return names, lines.Err()
}

// needs are the modules that the input may ask for, some of which no kernel has.
// Too many do no harm: only those that modprobe knows count.
func needs(engine ruleset.Engine, input string) []string {
	var names []string
	switch engine {
	case ruleset.IPTablesLegacy:
		names = append(names, "ip_tables", "x_tables")
		for _, table := range regexp.MustCompile(`(?m)(?:^\*|-t ?)(\w+)`).FindAllStringSubmatch(input, -1) {
			names = append(names, "iptable_"+table[1], "ip6table_"+table[1])
		}
		names = append(names, "iptable_filter", "ip6table_filter")
	case ruleset.IPTablesNFT:
		names = append(names, "nf_tables", "nft_compat", "x_tables", "nft_counter")
		if regexp.MustCompile(`(?m)^\*nat\b|-t ?nat\b|--table[ =]nat\b`).MatchString(input) {
			names = append(names, "nft_chain_nat", "nf_nat")
		}
	default:
		names = append(names, "nf_tables")
	}
	if engine == ruleset.NFTables {
		return append(names, nftNeeds(input)...)
	}
	for _, m := range regexp.MustCompile(`(?:^|\s)(?:-m|--match|-j|--jump|-g|-p)[ =]?(\w+)`).FindAllStringSubmatch(input, -1) {
		names = append(names, extension(m[1])...)
	}
	return names
}

var setType = regexp.MustCompile(`\b(bitmap|hash|list):([a-z,]+)`)

// setNeeds are the modules of the types of ipset that the input speaks of:
// hash:ip,port is in ip_set_hash_ipport.
func setNeeds(input string) []string {
	names := []string{"ip_set"}
	for _, m := range setType.FindAllStringSubmatch(input, -1) {
		names = append(names, "ip_set_"+m[1]+"_"+strings.ReplaceAll(m[2], ",", ""))
	}
	return names
}

// extension are the modules that a match or target of x_tables can be in: those
// for both families, and the older ones of each.
func extension(name string) []string {
	switch strings.ToLower(name) {
	case "tcp", "udp", "udplite", "icmp", "icmp6", "ipv6-icmp", "icmpv6", "all":
		return []string{"xt_tcpudp"}
	case "dnat", "snat":
		return []string{"xt_nat", "nf_nat", "nft_chain_nat"}
	case "state", "ctstate":
		return []string{"xt_state", "xt_conntrack", "nf_conntrack"}
	case "ct", "notrack":
		return []string{"xt_CT", "nf_conntrack"}
	case "tos":
		return []string{"xt_dscp", "xt_DSCP"}
	case "ttl", "hl":
		return []string{"xt_hl", "xt_HL"}
	}
	// Newer iptables-nft writes some of them as nf_tables' own expressions.
	names := []string{"nft_" + strings.ToLower(name)}
	for _, prefix := range []string{"xt_", "ipt_", "ip6t_"} {
		names = append(names, prefix+name, prefix+strings.ToLower(name))
	}
	return names
}

// nftNeeds goes by the words of nft's language. Comments and names may hold
// them too, which can only refuse too much.
func nftNeeds(input string) []string {
	known := map[string][]string{
		"ct": {"nft_ct", "nf_conntrack"}, "fib": {"nft_fib", "nft_fib_inet", "nft_fib_ipv4", "nft_fib_ipv6", "nft_fib_netdev"},
		"reject": {"nft_reject", "nft_reject_inet", "nft_reject_ipv4", "nft_reject_ipv6", "nft_reject_bridge", "nft_reject_netdev"},
		"log":    {"nft_log"}, "limit": {"nft_limit"}, "counter": {"nft_counter"}, "quota": {"nft_quota"},
		"nat":        {"nft_chain_nat", "nft_nat", "nf_nat"},
		"snat":       {"nft_nat", "nf_nat"},
		"dnat":       {"nft_nat", "nf_nat"},
		"masquerade": {"nft_masq", "nf_nat"}, "redirect": {"nft_redir", "nf_nat"},
		"numgen": {"nft_numgen"}, "jhash": {"nft_hash"}, "symhash": {"nft_hash"}, "queue": {"nft_queue"},
		"socket": {"nft_socket"}, "tproxy": {"nft_tproxy"}, "synproxy": {"nft_synproxy"}, "osf": {"nft_osf"},
		"ipsec": {"nft_xfrm"}, "tunnel": {"nft_tunnel"}, "flow": {"nft_flow_offload", "nf_flow_table"},
		"flowtable": {"nf_flow_table", "nf_flow_table_inet"}, "count": {"nft_connlimit"},
		"dup": {"nft_dup_ipv4", "nft_dup_ipv6", "nft_dup_netdev"}, "fwd": {"nft_fwd_netdev"},
		"notrack": {"nft_ct", "nf_conntrack"}, "meta": {"nft_meta_bridge"}, "xt": {"nft_compat", "x_tables"},
	}
	var names []string
	seen := make(map[string]bool)
	for _, word := range regexp.MustCompile(`[a-z]+`).FindAllString(input, -1) {
		if !seen[word] {
			seen[word] = true
			names = append(names, known[word]...)
		}
	}
	return names
}
