package symbol

// Explain says in a few plain words why the packet was dropped, for people who do
// not read kernel sources. It is "" where neither the function nor the reason has
// one meaning; it is also "" for netfilter, which is told by its rule. A reason that
// is newer than this is told as that: [Newer].
func Explain(symbol, reason string) string {
	symbol = Base(symbol)
	switch reason {
	case "", "QUEUE_PURGE":
		return explainPlace(symbol)
	case "NOT_SPECIFIED":
		switch symbol {
		case "__udp4_lib_rcv", "__udp6_lib_rcv", "udp_rcv", "udpv6_rcv":
			// All its other ends have reasons (6.1 to 7.2).
			return "no socket takes it, as a broadcast or multicast that nobody listens to, or it is cut off in its header"
		}
		return explainPlace(symbol)
	case "NO_SOCKET":
		switch symbol {
		case "icmp_rcv", "icmpv6_rcv", "ping_rcv":
			return "an echo reply that no ping socket waits for"
		case "cookie_v4_check", "cookie_v6_check":
			// tcp_get_cookie_sock gave none (6.9 to 7.2).
			return "the answer to a SYN cookie, for which the listening socket has no room: its accept queue is full, or memory is short"
		}
	case "IP_INHDR":
		// The one IP_INHDR of both (net/ipv4/ip_forward.c,
		// net/ipv6/ip6_output.c; 5.17 to 7.2).
		switch symbol {
		case "ip_forward", "ip6_forward":
			return "TTL expired: too many hops on the way"
		}
	}
	for _, explain := range []func(string) string{
		explainSocket, explainIP, explainTCP, explainTCPAuth, explainLink, explainDevice,
		explainNeighbour, explainSocketEnd, explainTrafficControl, explainVirtual, explainOVS, explainWiFi,
	} {
		if text := explain(reason); text != "" {
			return text
		}
	}
	if withoutWords(reason) {
		return ""
	}
	return Newer
}

// explainPlace explains functions that free for one cause only, where the kernel
// gives no reason (5.10 has none at all). tcp_v4_rcv, __udp4_lib_rcv, ip_rcv_core,
// ip_forward and most others have several and are not here.
func explainPlace(symbol string) string {
	switch symbol {
	case "nf_queue":
		return "NFQUEUE: no program listens on that queue, or it is full"
	case "nf_reinject", "nfqnl_reinject":
		return "NFQUEUE: the program on that queue dropped it"
	case "neigh_invalidate", "arp_error_report", "ndisc_error_report":
		return "the next hop did not answer ARP or neighbour discovery"
	case "__neigh_event_send":
		return "the next hop's hardware address is not resolved: no answer to ARP or neighbour discovery, or too many packets wait for it"
	case "neigh_flush_dev", "neigh_destroy", "neigh_blackhole", "blackhole_neigh_output":
		return "the neighbour entry or device it was to use was removed"
	case "__ip_queue_xmit", "inet6_csk_xmit":
		return "no route to it"
	case "ip_error", "ip6_pkt_drop", "ip6_pkt_discard", "ip6_pkt_discard_out", "ip6_pkt_prohibit", "ip6_pkt_prohibit_out":
		return "no route to it, or the route is unreachable or prohibited"
	case "ip_expire", "ip6_frag_expire", "inet_frag_rbtree_purge":
		return "fragments of the datagram are missing: reassembly was given up"
	case "dst_discard", "dst_discard_out":
		return "the route discards: a blackhole route, or its device is gone"
	case "blackhole_netdev_xmit":
		return "the route's device is gone"
	case "enqueue_to_backlog":
		return "the CPU's input queue is full (net.core.netdev_max_backlog), or the interface is going down"
	case "__dev_forward_skb", "__dev_forward_skb2":
		return "the interface at the other end is down, or its MTU is smaller than the packet"
	case "flush_backlog":
		return "the interface it arrived on was removed"
	case "qdisc_reset", "pfifo_fast_reset":
		return "the interface's send queue was emptied: it went down, or its queueing discipline was replaced"
	case "skb_kill_datagram", "__first_packet_length":
		return "checksum wrong, found while it was read"
	case "br_handle_frame_finish", "br_forward", "__br_forward":
		// br_forward is inlined into the first.
		return "the bridge passes it to no port: the one that leads to its destination is the one it came by (hairpin is off), isolated, down, blocked or not in its VLAN; or the one it came by is blocked or locked"
	case "br_handle_frame":
		return "the bridge port does not take it: it is blocked by spanning tree, or the frame's source address is not valid"
	case "br_allowed_ingress", "__allowed_ingress":
		return "its VLAN is not allowed on the bridge port that it came by"
	case "br_handle_vlan":
		return "its VLAN is not allowed on the bridge port that it leaves by"
	case "br_dev_queue_push_xmit", "br_nf_dev_queue_xmit":
		return "larger than the MTU of the bridge port that it leaves by, or that port is down"
	case "ip_defrag":
		// inet_frag_find gave none (5.10 to 7.2).
		return "too many fragments wait to be put together (net.ipv4.ipfrag_high_thresh), or memory is short"
	case "wg_xmit":
		// drivers/net/wireguard/device.c, 5.10 to 7.2.
		return "WireGuard: no peer has its destination in its allowed-ips, or that peer has no endpoint yet"
	case "gre_rcv":
		return "no GRE tunnel here has its addresses and key"
	case "tunnel4_rcv", "tunnel64_rcv", "tunnel6_rcv", "tunnel46_rcv":
		return "no tunnel here takes IP in IP between its addresses"
	case "ip_fragment", "ip6_fragment":
		return "larger than the MTU and must not be fragmented"
	}
	return ""
}

func explainSocket(reason string) string {
	switch reason {
	case "NO_SOCKET":
		return "no socket for this address and port"
	case "SOCKET_FILTER":
		return "a filter of the socket, a BPF program of its cgroup or a security module refused it"
	case "SOCKET_RCVBUFF":
		return "socket receive buffer full: the program reads too slowly"
	case "SOCKET_BACKLOG":
		return "socket backlog full: packets arrive faster than the program lets them in"
	case "PROTO_MEM":
		return "no memory to receive it: the socket's buffer is full, or all of the protocol's are (net.ipv4.tcp_mem, net.ipv4.udp_mem)"
	case "PFMEMALLOC":
		return "memory is short, and this socket may not use the reserve"
	case "NOMEM":
		return "out of memory"
	case "SECURITY_HOOK":
		return "a security module (SELinux, AppArmor, BPF LSM) refused it"
	case "BPF_CGROUP_EGRESS":
		return "a BPF program on the sender's cgroup refused it"
	case "XFRM_POLICY":
		return "IPsec policy: it came without the protection that a policy asks for, or none allows it"
	}
	return ""
}

func explainIP(reason string) string {
	switch reason {
	case "IP_RPFILTER":
		return "reverse path filter (rp_filter): the way back to its source leads through another interface"
	case "IP_INHDR":
		return "the IP header is wrong"
	case "IP_CSUM":
		return "IP header checksum wrong"
	case "ICMP_CSUM":
		return "ICMP checksum wrong"
	case "UDP_CSUM":
		return "UDP checksum wrong"
	case "SKB_CSUM":
		return "checksum could not be computed"
	case "IP_NOPROTO":
		return "no handler for this IP protocol"
	case "UNHANDLED_PROTO":
		return "no handler for this protocol"
	case "INVALID_PROTO":
		return "the protocol forbids it here, as some ICMP to a broadcast address"
	case "OTHERHOST":
		return "the frame is addressed to another host: a bridge or switch flooded it, or the interface is in promiscuous mode"
	case "UNICAST_IN_L2_MULTICAST":
		return "a unicast packet in a broadcast or multicast frame (drop_unicast_in_l2_multicast)"
	case "IP_OUTNOROUTES", "IP_INNOROUTES":
		return "no route to it"
	case "IP_INADDRERRORS":
		return "its destination is unreachable, or no address that can be reached from here"
	case "IP_LOCAL_SOURCE":
		return "its source is one of this host's own addresses"
	case "IP_INVALID_SOURCE":
		return "its source address is not valid (martian)"
	case "IP_INVALID_DEST":
		return "its destination address is not valid (martian)"
	case "IP_LOCALNET":
		return "a loopback address from outside (route_localnet is off)"
	case "IPV6DISABLED":
		return "IPv6 is disabled on the interface"
	case "IPV6_BAD_EXTHDR", "IPV6_TOO_MANY_EXTHDRS":
		return "an IPv6 extension header is wrong, or there are too many"
	case "PKT_TOO_SMALL":
		return "shorter than its headers say"
	case "HDR_TRUNC":
		return "cut off within its headers"
	case "PKT_TOO_BIG":
		return "larger than the MTU"
	case "DUP_FRAG":
		return "this fragment had arrived before"
	case "FRAG_REASM_TIMEOUT":
		return "fragments of the datagram are missing: reassembly timed out"
	case "FRAG_TOO_FAR":
		return "fragments arrive too far out of order (ipfrag_max_dist)"
	}
	return ""
}
