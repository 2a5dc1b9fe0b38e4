package tracer

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/droptrace/droptrace/bpf"
)

// Kinds of places in which packets are freed: enum site_kind of bpf/config.h.
const (
	siteHookSlow  = 1
	siteNFT       = 2
	siteQueue     = 3
	siteNetfilter = 4
	siteTCP       = 5
	siteCookie    = 6
	siteList      = 7
)

// Classes of hook functions: enum hook_class of bpf/config.h.
const (
	hookXT        = 1
	hookNFT       = 2
	hookNAT       = 3
	hookHarmless  = 4
	hookConntrack = 5
	hookConfirm   = 6
)

type siteFunction struct {
	name string
	kind uint32
}

// siteFunctions has those first that free most: each drop is compared with them in
// turn.
func siteFunctions() []siteFunction {
	return []siteFunction{
		{"nft_do_chain", siteNFT},
		{"nf_hook_slow", siteHookSlow},
		{"tcp_v4_rcv", siteTCP},
		{"tcp_v6_rcv", siteTCP},
		{"tcp_v4_do_rcv", siteTCP}, // of SYN cookies, before 6.9
		{"tcp_v6_do_rcv", siteTCP},
		{"cookie_v4_check", siteCookie},
		{"cookie_v6_check", siteCookie},
		{"nf_queue", siteQueue},
		{"__nf_queue", siteQueue},
		{"nf_reinject", siteNetfilter},    // a program behind NFQUEUE said drop
		{"nfqnl_reinject", siteNetfilter}, // the same, 6.12 and later
		{"nfqnl_recv_verdict", siteNetfilter},
		{"nfqnl_enqueue_packet", siteNetfilter},
		{"nf_synproxy_core", siteNetfilter},
		{"kfree_skb_list", siteList},
		{"kfree_skb_list_reason", siteList}, // 5.17 and later
		{"skb_queue_purge", siteList},
		{"skb_queue_purge_reason", siteList}, // 6.7 and later
	}
}

// hookFunctions maps a hook's function to its class. The numbers in the upper
// half are 5.10's tables, see oldNetTables.
func hookFunctions() map[string]uint32 {
	const (
		filter   = 1 << 16
		mangle   = 2 << 16
		raw      = 3 << 16
		security = 4 << 16
		nat      = 5 << 16
	)
	return map[string]uint32{
		"nft_do_chain_ipv4":         hookNFT,
		"nft_do_chain_ipv6":         hookNFT,
		"nft_do_chain_inet":         hookNFT,
		"nft_do_chain_inet_ingress": hookNFT,
		"nft_do_chain_arp":          hookNFT,
		"nft_do_chain_bridge":       hookNFT,
		"nft_do_chain_netdev":       hookNFT,
		"nft_nat_do_chain":          hookNFT,
		"nf_route_table_hook4":      hookNFT,
		"nf_route_table_hook6":      hookNFT,
		"nf_route_table_inet":       hookNFT,

		"ipt_do_table":           hookXT,
		"ip6t_do_table":          hookXT,
		"iptable_filter_hook":    hookXT | filter,
		"iptable_mangle_hook":    hookXT | mangle,
		"iptable_raw_hook":       hookXT | raw,
		"iptable_security_hook":  hookXT | security,
		"iptable_nat_do_chain":   hookXT | nat,
		"ip6table_filter_hook":   hookXT | filter,
		"ip6table_mangle_hook":   hookXT | mangle,
		"ip6table_raw_hook":      hookXT | raw,
		"ip6table_security_hook": hookXT | security,
		"ip6table_nat_do_chain":  hookXT | nat,

		"nf_nat_ipv4_in":          hookNAT, // called nf_nat_ipv4_pre_routing since 5.11
		"nf_nat_ipv4_pre_routing": hookNAT,
		"nf_nat_ipv4_out":         hookNAT,
		"nf_nat_ipv4_local_fn":    hookNAT,
		"nf_nat_ipv4_local_in":    hookNAT,
		"nf_nat_ipv4_fn":          hookNAT,
		"nf_nat_ipv6_in":          hookNAT,
		"nf_nat_ipv6_out":         hookNAT,
		"nf_nat_ipv6_local_fn":    hookNAT,
		"nf_nat_ipv6_fn":          hookNAT,

		"ipv4_conntrack_in":    hookConntrack,
		"ipv6_conntrack_in":    hookConntrack,
		"ipv4_conntrack_local": hookConntrack,
		"ipv6_conntrack_local": hookConntrack,
		"nf_confirm":           hookConfirm, // 6.3 and later
		"ipv4_confirm":         hookConfirm,
		"ipv6_confirm":         hookConfirm,

		// It gathers fragments: NF_STOLEN or NF_ACCEPT, never NF_DROP.
		"ipv4_conntrack_defrag": hookHarmless,
	}
}

// setSites fills in the ranges, as many as there is room for; functions that this
// kernel lacks are left out.
func setSites(c *bpf.KernelConfig, symbols Symbols) error {
	n := 0
	var without []string
	for _, f := range siteFunctions() {
		for _, r := range symbols.Ranges(f.name) {
			if n == len(c.Sites) {
				without = append(without, f.name)
				break
			}
			c.Sites[n].Start, c.Sites[n].End, c.Sites[n].Kind = r[0], r[1], f.kind
			n++
		}
	}
	if len(without) > 0 {
		return fmt.Errorf("there is room for %d parts of functions, not for all of %s",
			len(c.Sites), strings.Join(without, ", "))
	}
	return nil
}

// setHookFunctions tells the kernel side which hook is whose. On kernels whose
// hooks carry their table the number in the upper half is dropped.
func setHookFunctions(m *ebpf.Map, symbols Symbols, old bool) error {
	for name, class := range hookFunctions() {
		if !old {
			class &= 0xffff
		}
		for _, r := range symbols.Ranges(name) {
			if err := m.Put(r[0], class); err != nil {
				return fmt.Errorf("hook function %s: %w", name, err)
			}
		}
	}
	return nil
}
