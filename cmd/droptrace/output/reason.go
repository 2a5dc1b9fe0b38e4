package output

// reasonText says a kernel drop reason in plain words, or nothing where the
// name has nothing to add. Names are those of enum skb_drop_reason without the
// prefix; a kernel may have others, and they are shown by name alone.
func reasonText(reason string) string {
	switch reason {
	case "NO_SOCKET":
		return "no socket for this port"
	case "PKT_TOO_SMALL", "HDR_TRUNC":
		return "packet too small for its header"
	case "TCP_CSUM", "UDP_CSUM", "ICMP_CSUM", "IP_CSUM", "SKB_CSUM":
		return "wrong checksum"
	case "SOCKET_FILTER":
		return "a filter on the socket refused it"
	case "OTHERHOST":
		return "sent to another host's MAC address"
	case "IP_INHDR":
		return "malformed IP header"
	case "IP_RPFILTER":
		return "reverse path filter: the source is not routed by this interface"
	case "UNICAST_IN_L2_MULTICAST":
		return "unicast address in a broadcast frame"
	case "XFRM_POLICY":
		return "an IPsec policy refused it"
	case "IP_NOPROTO":
		return "nothing here speaks this protocol"
	case "SOCKET_RCVBUFF":
		return "the socket's receive buffer is full"
	case "PROTO_MEM":
		return "the protocol's memory limit is reached"
	case "SOCKET_BACKLOG":
		return "the socket's backlog is full"
	case "TCP_LISTEN_OVERFLOW":
		return "the listener's accept queue is full"
	case "SOCKET_CLOSE":
		return "the socket was closed with data still unread"
	case "SECURITY_HOOK":
		return "a security module (SELinux, AppArmor, BPF LSM) refused it"
	}
	return tcpReasonText(reason)
}

// tcpReasonText holds what TCP itself refuses.
func tcpReasonText(reason string) string {
	switch reason {
	case "TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE":
		return "the TCP MD5 signature is missing, unexpected or wrong"
	case "TCP_AONOTFOUND", "TCP_AOUNEXPECTED", "TCP_AOKEYNOTFOUND", "TCP_AOFAILURE":
		return "the TCP authentication option is missing, unexpected or wrong"
	case "TCP_FLAGS":
		return "these TCP flags make no sense in this state"
	case "TCP_ZEROWINDOW":
		return "the receive window is closed"
	case "TCP_OLD_DATA":
		return "data that had arrived before"
	case "TCP_OVERWINDOW", "TCP_INVALID_SEQUENCE", "TCP_INVALID_END_SEQUENCE":
		return "sequence number outside the window"
	case "TCP_OFOMERGE", "TCP_OFO_DROP", "TCP_OFO_QUEUE_PRUNE":
		return "out of order, and already held or no room for it"
	case "TCP_RFC7323_PAWS", "TCP_RFC7323_PAWS_ACK", "TCP_RFC7323_TW_PAWS", "TCP_RFC7323_TSECR":
		return "the TCP timestamp is too old (PAWS)"
	case "TCP_OLD_SEQUENCE":
		return "old sequence number"
	case "TCP_RESET":
		return "a reset that was taken"
	case "TCP_INVALID_SYN":
		return "a SYN inside a connection"
	case "TCP_CLOSE":
		return "the socket is closing"
	case "TCP_OLD_ACK", "TCP_TOO_OLD_ACK", "TCP_ACK_UNSENT_DATA", "TCP_INVALID_ACK_SEQUENCE":
		return "acknowledges what is old or was never sent"
	case "TCP_ABORT_ON_DATA":
		return "data for a socket that was closed"
	case "TCP_MINTTL":
		return "TTL below the socket's minimum"
	}
	return pathReasonText(reason)
}

// pathReasonText holds what happens on the way: routing, neighbours, queues.
func pathReasonText(reason string) string {
	switch reason {
	case "IP_OUTNOROUTES", "IP_INNOROUTES":
		return "no route to the destination"
	case "IP_INVALID_SOURCE", "IP_LOCAL_SOURCE":
		return "impossible source address"
	case "IP_INVALID_DEST", "IP_INADDRERRORS", "IP_LOCALNET":
		return "impossible destination address"
	case "BPF_CGROUP_EGRESS":
		return "a cgroup's BPF program refused it"
	case "IPV6DISABLED":
		return "IPv6 is off on this interface"
	case "NEIGH_CREATEFAIL", "NEIGH_FAILED", "NEIGH_DEAD":
		return "no neighbour answers for the next hop"
	case "NEIGH_QUEUEFULL":
		return "too many packets wait for the next hop's address"
	case "QDISC_DROP", "QDISC_OVERLIMIT", "QDISC_CONGESTED", "FQ_BAND_LIMIT", "FQ_FLOW_LIMIT":
		return "the interface's queue refused it: full, or no carrier"
	case "TC_INGRESS", "TC_EGRESS":
		return "a tc filter dropped it"
	case "XDP":
		return "an XDP program dropped it"
	case "CPU_BACKLOG":
		return "this CPU's receive queue is full (netdev_max_backlog)"
	case "UNHANDLED_PROTO":
		return "nothing here speaks this protocol"
	case "NOMEM":
		return "no memory"
	case "FRAG_REASM_TIMEOUT":
		return "not all fragments came in time"
	case "FRAG_TOO_FAR", "DUP_FRAG":
		return "a fragment too far from the others, or there twice"
	case "TUNNEL_TXINFO":
		return "the tunnel was given no destination"
	case "VXLAN_INVALID_HDR", "VXLAN_VNI_NOT_FOUND":
		return "no VXLAN interface here takes it"
	case "RECURSION_LIMIT":
		return "it went round between interfaces too often"
	case "FULL_RING":
		return "the interface's ring is full"
	case "PKT_TOO_BIG":
		return "bigger than the MTU, and not to be fragmented"
	case "ARP_PVLAN_DISABLE", "BRIDGE_INGRESS_STP_STATE":
		return "the bridge port does not forward"
	}
	return ""
}
