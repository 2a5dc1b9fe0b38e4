package symbol

import "strings"

// Newer is said of reasons that this version does not know.
const Newer = "a reason newer than this droptrace, which has no words for it"

// withoutWords are reasons that say nothing by themselves: the rule or the place does,
// or nothing was lost.
func withoutWords(reason string) bool {
	switch reason {
	case "", "NOT_SPECIFIED", "NOT_DROPPED_YET", "CONSUMED", "NETFILTER_DROP", "QUEUE_PURGE":
		return true
	}
	// A number alone, or that of a subsystem whose names are not known.
	number := reason
	for _, subsystem := range []string{"MAC80211_UNUSABLE_", "MAC80211_MONITOR_", "OPENVSWITCH_", "QDISC_"} {
		number = strings.TrimPrefix(number, subsystem)
	}
	return strings.Trim(number, "0123456789") == ""
}

func explainNeighbour(reason string) string {
	switch reason {
	case "IPV6_NDISC_FRAG":
		return "neighbour discovery in fragments, which is refused (suppress_frag_ndisc)"
	case "IPV6_NDISC_HOP_LIMIT":
		return "neighbour discovery from beyond the link: its hop limit is not 255"
	case "IPV6_NDISC_BAD_CODE":
		return "neighbour discovery with an ICMPv6 code that is not 0"
	case "IPV6_NDISC_BAD_OPTIONS":
		return "neighbour discovery with options that cannot be read"
	case "IPV6_NDISC_NS_OTHERHOST":
		return "a neighbour solicitation for another host"
	case "ARP_PVLAN_DISABLE":
		return "an ARP question for a neighbour on the interface it came by, which is not answered for others (proxy_arp_pvlan is off)"
	}
	return ""
}

func explainSocketEnd(reason string) string {
	switch reason {
	case "SOCKET_CLOSE":
		return "the socket was closed before its program read it"
	case "UNIX_DISCONNECT":
		return "the unix socket was disconnected before its program read it"
	case "UNIX_SKIP_OOB":
		return "out-of-band data of a unix socket that its program passed over"
	case "PACKET_SOCK_ERROR":
		return "a capture's copy could not be delivered: its buffer is full, or memory is short"
	}
	return ""
}

func explainTrafficControl(reason string) string {
	switch reason {
	case "TC_COOKIE_ERROR":
		return "a tc action could not keep where to go on"
	case "TC_CHAIN_NOTFOUND":
		return "a tc filter sends it to a chain that does not exist"
	case "TC_RECLASSIFY_LOOP":
		return "tc filters classify it anew in a circle"
	case "QDISC_DROP_UNSPEC":
		return "the interface's queueing discipline dropped it"
	case "QDISC_DROP_MAXFLOWS":
		return "the queueing discipline has as many flows as it may have"
	case "QDISC_DROP_FLOOD_PROTECTION", "CAKE_FLOOD":
		return "its flow does not slow down for congestion, and the queueing discipline (cake) drops from it"
	case "QDISC_DROP_L4S_STEP_NON_ECN", "DUALPI2_STEP_DROP":
		return "the low-latency queue (dualpi2) is past its threshold, and the packet cannot be marked: it has no ECN"
	}
	return ""
}

func explainVirtual(reason string) string {
	switch reason {
	case "MACVLAN_BROADCAST_BACKLOG":
		return "too many broadcasts wait for the macvlan interfaces (bcqueuelen)"
	case "IPVLAN_MULTICAST_BACKLOG":
		return "too many multicasts and broadcasts wait for the ipvlan interfaces"
	case "VXLAN_ENTRY_EXISTS":
		return "its source MAC address has a static forwarding entry of the VXLAN interface, which leads elsewhere"
	case "CAN_RX_INVALID_FRAME", "CANFD_RX_INVALID_FRAME", "CANXL_RX_INVALID_FRAME":
		return "a CAN frame whose length or type is not valid"
	}
	return ""
}

// explainOVS is for enum ovs_drop_reason (net/openvswitch/drop.h).
func explainOVS(reason string) string {
	switch reason {
	case "OVS_DROP_LAST_ACTION":
		return "Open vSwitch: the flow's last action sends it nowhere"
	case "OVS_DROP_ACTION_ERROR":
		return "Open vSwitch: an action of the flow failed"
	case "OVS_DROP_EXPLICIT":
		return "Open vSwitch: the flow drops it on purpose (drop action)"
	case "OVS_DROP_EXPLICIT_WITH_ERROR":
		return "Open vSwitch: the flow drops it for an error of its pipeline"
	case "OVS_DROP_METER":
		return "Open vSwitch: it is more than a meter lets through"
	case "OVS_DROP_RECURSION_LIMIT":
		return "Open vSwitch: the flow's actions are nested too deep"
	case "OVS_DROP_DEFERRED_LIMIT":
		return "Open vSwitch: too many actions are put off"
	case "OVS_DROP_FRAG_L2_TOO_LONG":
		return "Open vSwitch: its link-layer header is too long to be fragmented with"
	case "OVS_DROP_FRAG_INVALID_PROTO":
		return "Open vSwitch: it is to be fragmented, and is neither IPv4 nor IPv6"
	case "OVS_DROP_CONNTRACK":
		return "Open vSwitch: conntrack refused it (ct action)"
	case "OVS_DROP_IP_TTL":
		return "Open vSwitch: its TTL ran out (dec_ttl action)"
	}
	return ""
}
