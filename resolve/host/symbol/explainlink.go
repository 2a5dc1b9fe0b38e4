package symbol

// explainLink covers what lies between IP and the devices: neighbours, traffic
// control, queues.
func explainLink(reason string) string {
	switch reason {
	case "NEIGH_FAILED":
		return "the next hop did not answer ARP or neighbour discovery"
	case "NEIGH_QUEUEFULL":
		return "too many packets wait for the next hop's ARP or neighbour discovery answer"
	case "NEIGH_DEAD":
		return "the neighbour entry of the next hop was removed"
	case "NEIGH_CREATEFAIL":
		return "no room for another neighbour (gc_thresh3 of the neighbour table)"
	case "NEIGH_HH_FILLFAIL":
		return "the link-layer header could not be built"
	case "TC_INGRESS":
		return "a tc filter or BPF program dropped it on arrival"
	case "TC_EGRESS":
		return "a tc filter or BPF program dropped it on sending"
	case "XDP":
		return "an XDP program dropped it"
	case "QDISC_DROP", "QDISC_DROP_GENERIC":
		return "the interface's queueing discipline dropped it: the send queue is full, or policy"
	case "QDISC_OVERLIMIT", "QDISC_DROP_OVERLIMIT", "QDISC_BURST_DROP":
		return "the interface's send queue is full"
	case "QDISC_CONGESTED", "QDISC_DROP_CONGESTED":
		return "the queueing discipline dropped it to signal congestion"
	case "FQ_BAND_LIMIT", "FQ_FLOW_LIMIT", "QDISC_DROP_BAND_LIMIT", "QDISC_DROP_FLOW_LIMIT":
		return "its flow or band fills its share of the send queue (fq)"
	case "FQ_HORIZON_LIMIT", "QDISC_DROP_HORIZON_LIMIT":
		return "it is to be sent too far in the future (fq)"
	case "CPU_BACKLOG":
		return "the CPU's input queue is full (net.core.netdev_max_backlog)"
	case "RECURSION_LIMIT":
		return "the packet goes round in circles among virtual interfaces"
	}
	return ""
}

func explainDevice(reason string) string {
	switch reason {
	case "DEV_READY":
		return "the interface is down or not ready"
	case "DEV_HDR":
		return "the header that the device needs is wrong"
	case "FULL_RING":
		return "the interface's ring is full: the program or virtual machine behind it reads too slowly"
	case "TAP_FILTER", "TAP_TXFILTER":
		return "a filter on the tun or tap interface refused it"
	case "SKB_GSO_SEG":
		return "it could not be segmented"
	case "SKB_BAD_GSO":
		return "its segmentation data are wrong"
	case "SKB_UCOPY_FAULT":
		return "its data could not be copied from the sending program"
	case "NO_TX_TARGET":
		return "the bridge or tunnel knows no port to send it to"
	case "LOCAL_MAC":
		return "its source MAC address is this host's own: a loop, or an address in use twice"
	case "MAC_INVALID_SOURCE":
		return "its source MAC address is not valid"
	case "MAC_IEEE_MAC_CONTROL":
		return "an Ethernet control frame, which bridges do not pass on"
	case "BRIDGE_INGRESS_STP_STATE":
		return "the bridge port is blocked by spanning tree"
	case "VXLAN_INVALID_HDR":
		return "its VXLAN header is wrong"
	case "VXLAN_VNI_NOT_FOUND":
		return "no VXLAN interface for its network identifier"
	case "IP_TUNNEL_ECN":
		return "its inner and outer ECN bits contradict each other"
	case "TUNNEL_TXINFO":
		return "no tunnel data on a packet for an external-mode tunnel"
	case "PSP_INPUT", "PSP_OUTPUT":
		return "PSP encryption does not match the connection's"
	}
	return ""
}
