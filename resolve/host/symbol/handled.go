package symbol

import "strings"

// isPart reports where pieces of another buffer are freed, 5.10 to 7.2, all in
// net/core/skbuff.c but the last.
func isPart(symbol string) bool {
	switch symbol {
	// The fragment list of a head that is freed, or consumed: up to 6.1 the
	// pieces of a packet that was received whole fire the tracepoint too.
	case "skb_release_data":
		return true
	// Cut off, or pulled into the head, which goes on.
	case "___pskb_trim", "__pskb_pull_tail", "pskb_carve_inside_nonlinear", "skb_cow_data":
		return true
	// Segments made so far of a head that the caller then frees.
	case "skb_segment", "skb_segment_list", "ipv6_gso_segment":
		return true
	}
	return false
}

// isHandled reports functions that free with kfree_skb what they have handled.
func isHandled(symbol string) bool {
	switch symbol {
	// Queries and reports; its drop label is the common end (5.10 to 7.2).
	case "igmp_rcv":
		return true
	// A proxied neighbour solicitation, after it was answered; the tail call
	// puts it into the second (net/ipv6/ndisc.c, 5.10 to 7.2).
	case "pndisc_redo", "neigh_proxy_process":
		return true
	// Bridge protocol frames (net/bridge/br_stp_bpdu.c, net/802, 5.10 to 7.2).
	case "br_stp_rcv", "stp_pdu_rcv", "garp_pdu_rcv", "mrp_rcv":
		return true
	// A multicast with TTL 0 stays on the host; its looped copy went on. It
	// is all that ip_mc_output frees itself (5.10 to 7.2).
	case "ip_mc_output":
		return true
	// Multicast that nobody here joined, or whose clone was forwarded.
	case "ip6_mc_input":
		return true
	// A message read off an error queue (5.10 to 7.2).
	case "ip_recv_error", "ipv6_recv_error", "ipv6_recv_rxpmtu", "sock_recv_errqueue":
		return true
	// Data that the reader has (net/sctp/ulpevent.c; a tail call).
	case "sctp_ulpevent_free", "sctp_recvmsg":
		return true
	// A GSO packet whose segments were queued one by one, and the netlink
	// message of a queue that is full: the packet's own free is nf_queue's
	// (net/netfilter/nfnetlink_queue.c).
	case "nfqnl_enqueue_packet", "__nfqnl_enqueue_packet", "nfqnl_mangle":
		return true
	}
	return false
}

// isCopy reports functions that free a copy: the packet itself goes on.
func isCopy(symbol string) bool {
	switch symbol {
	// A capture socket's, when it is full (net/packet/af_packet.c).
	case "packet_rcv", "packet_rcv_spkt", "packet_rcv_fanout", "tpacket_rcv", "dev_queue_xmit_nit":
		return true
	// Clones made to check a checksum, or that failed while being made.
	case "skb_checksum_trimmed", "ip_mc_check_igmp", "ipv6_mc_check_mld",
		"__pskb_copy_fclone", "skb_realloc_headroom", "pskb_extract",
		"reuseport_select_sock", "reuseport_migrate_sock":
		return true
	// Time stamps and error messages for a socket's error queue. The second
	// list calls the first with a tail call.
	case "__skb_tstamp_tx", "__skb_complete_tx_timestamp", "skb_complete_tx_timestamp", "skb_complete_wifi_ack",
		"ip_icmp_error", "ipv6_icmp_error", "ip_local_error", "ipv6_local_error", "ipv6_local_rxpmtu":
		return true
	case "ping_err", "raw_err", "rawv6_err", "__udp4_lib_err", "__udp6_lib_err":
		return true
	// The dup target and expression; multicast reports to the routing daemon.
	case "nf_dup_ipv4", "nf_dup_ipv6", "ipmr_cache_report", "ip6mr_cache_report":
		return true
	// Options kept for getsockopt.
	case "inet6_destroy_sock", "inet6_cleanup_sock", "tcp_v6_reqsk_destructor":
		return true
	}
	return false
}

// isSocketEnd reports functions that empty the queues of a socket that goes: its
// packets had arrived, and the program did not read them.
func isSocketEnd(symbol string) bool {
	if strings.HasSuffix(symbol, "_destruct") || strings.HasSuffix(symbol, "_destructor") {
		return true // inet_sock, packet_sock, netlink_sock, unix_sock
	}
	switch symbol {
	case "udp_destruct_common", "sk_stream_kill_queues", "skb_rbtree_purge", "skb_errqueue_purge",
		"tcp_disconnect", "tcp_fin", "tcp_v4_destroy_sock", "packet_release", "packet_set_ring",
		"mptcp_destroy_common", "mptcp_backlog_purge", "mptcp_subflow_reset",
		"sk_psock_destroy", "sk_psock_destroy_deferred", "sk_psock_drop", "strp_done",
		"sock_zerocopy_alloc", "msg_zerocopy_alloc", "msg_zerocopy_realloc",
		"ip_setsockopt", "do_ip_setsockopt", "do_ipv6_setsockopt":
		return true
	}
	return false
}

// isUnformed reports functions that give up a buffer before it was a packet: the
// sender has the error, or it is a test's.
func isUnformed(symbol string) bool {
	switch symbol {
	case "alloc_skb_with_frags", "napi_get_frags_check", "arp_create", "netpoll_setup", "__netpoll_cleanup",
		"__ip_append_data", "__ip6_append_data", "__ip_flush_pending_frames", "__ip6_flush_pending_frames",
		"tcp_connect", "tcp_send_rcvq", "mptcp_sendmsg_frag",
		"bpf_prog_test_run_skb", "bpf_prog_test_run_nf":
		return true
	}
	return false
}
