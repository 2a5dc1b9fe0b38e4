package machine

import "strings"

// counterWords says what a counter counts; "" of one that is no loss.
func counterWords(name string) string {
	if words, ok := mibWords[name]; ok {
		return words
	}
	if strings.HasPrefix(name, "Xfrm") {
		return "IPsec dropped packets (ip xfrm, ip -s xfrm state)"
	}
	device, column, ok := strings.Cut(name, " ")
	if !ok {
		return ""
	}
	switch {
	case device == "softnet" && column == "dropped":
		return "packets dropped by a CPU's backlog: net.core.netdev_max_backlog was reached"
	case device == "softnet":
		return "packets dropped by the flow limit: net.core.flow_limit_cpu_bitmap"
	case device == "nfqueue" && strings.HasSuffix(column, "full"):
		return "packets dropped since the queue was full: the program is too slow"
	case device == "nfqueue":
		return "packets dropped since the program's socket was full"
	case strings.HasPrefix(column, "qdisc"):
		return "packets dropped by this queue (tc -s qdisc show dev " + device + ")"
	case column == "rx frame errors":
		return "frames that the device refused; of WireGuard: the source is outside the peer's allowed-ips"
	case column == "rx dropped":
		return "packets that came and went no further: dropped by the driver (ethtool -S " + device + "), or of a protocol that nobody takes"
	case column == "tx dropped":
		return "packets that the device did not send (ethtool -S " + device + ")"
	}
	return "errors of the device (ip -s link show " + device + ", ethtool -S " + device + ")"
}

// mibWords are the counters of /proc/net/snmp, snmp6 and netstat that mean a loss, from
// include/uapi/linux/snmp.h and net/ipv4/proc.c.
var mibWords = map[string]string{
	"IpInHdrErrors":        "packets with a bad header, or whose TTL ran out",
	"IpInAddrErrors":       "packets with an address that is not ours, and no forwarding",
	"IpInUnknownProtos":    "packets of a protocol that nobody takes",
	"IpInDiscards":         "good packets thrown away, as for want of memory",
	"IpOutDiscards":        "packets of this host thrown away, as by a rule in output",
	"IpOutNoRoutes":        "packets without a route",
	"IpReasmFails":         "fragments that did not become a packet",
	"IpFragFails":          "packets too big for the way that must not be fragmented",
	"IpExtInNoRoutes":      "packets without a route",
	"IpExtInCsumErrors":    "packets with a wrong checksum",
	"IpExtInTruncatedPkts": "packets shorter than their header says",

	"IcmpInErrors":     "ICMP messages that are broken, or errors about a connection that no socket here has",
	"IcmpInCsumErrors": "ICMP messages with a wrong checksum",
	"TcpInErrs":        "TCP segments that are broken",
	"TcpInCsumErrors":  "TCP segments with a wrong checksum",
	"UdpNoPorts":       "datagrams to a port that nobody listens on",
	"UdpInErrors":      "datagrams that could not be delivered",
	"UdpRcvbufErrors":  "datagrams lost since the socket's receive buffer was full",
	"UdpSndbufErrors":  "datagrams lost since the socket's send buffer was full",
	"UdpInCsumErrors":  "datagrams with a wrong checksum",
	"UdpMemErrors":     "datagrams lost since net.ipv4.udp_mem was reached",

	"TcpExtListenOverflows":           "connections refused since a listener's accept queue was full",
	"TcpExtListenDrops":               "SYNs and last ACKs of handshakes that a listener dropped",
	"TcpExtTCPReqQFullDrop":           "SYNs dropped since a listener's SYN queue was full",
	"TcpExtSyncookiesFailed":          "ACKs with a wrong SYN cookie",
	"TcpExtTCPBacklogDrop":            "segments dropped since a socket's backlog was full",
	"TcpExtPFMemallocDrop":            "packets dropped since memory was short",
	"TcpExtTCPMinTTLDrop":             "segments whose TTL is below the socket's minimum",
	"TcpExtTCPDeferAcceptDrop":        "ACKs without data to a socket with TCP_DEFER_ACCEPT",
	"TcpExtIPReversePathFilter":       "packets dropped by rp_filter: no route back to the source by that interface",
	"TcpExtTCPRcvQDrop":               "segments dropped since a socket's receive queue was full",
	"TcpExtTCPOFODrop":                "segments dropped since a socket's out-of-order queue was full",
	"TcpExtTCPZeroWindowDrop":         "segments sent to a socket whose window was closed",
	"TcpExtTCPMD5NotFound":            "segments without the TCP MD5 signature that the socket wants",
	"TcpExtTCPMD5Unexpected":          "segments with a TCP MD5 signature that the socket does not want",
	"TcpExtTCPMD5Failure":             "segments with a wrong TCP MD5 signature",
	"TcpExtTCPAORequired":             "segments without the TCP-AO signature that the socket wants",
	"TcpExtTCPAOBad":                  "segments with a wrong TCP-AO signature",
	"TcpExtTCPAOKeyNotFound":          "segments with a TCP-AO key that is not known",
	"TcpExtPAWSActive":                "SYN-ACKs whose timestamp is too old (PAWS)",
	"TcpExtPAWSEstab":                 "segments whose timestamp is too old (PAWS)",
	"TcpExtTCPWqueueTooBig":           "segments not split since a socket's write queue was full",
	"TcpExtLockDroppedIcmps":          "ICMP errors dropped since the socket was in use",
	"TcpExtOutOfWindowIcmps":          "ICMP errors that fit no segment under way",
	"TcpExtTCPFastOpenListenOverflow": "TCP Fast Open requests beyond the listener's limit",

	"Ip6InHdrErrors":     "packets with a bad header, or whose hop limit ran out",
	"Ip6InTooBigErrors":  "packets too big to forward",
	"Ip6InNoRoutes":      "packets without a route",
	"Ip6InAddrErrors":    "packets with an address that is not ours, and no forwarding",
	"Ip6InUnknownProtos": "packets of a protocol that nobody takes",
	"Ip6InTruncatedPkts": "packets shorter than their header says",
	"Ip6InDiscards":      "good packets thrown away, as for want of memory, or IPv6 is disabled on the interface",
	"Ip6OutDiscards":     "packets of this host thrown away, as by a rule in output",
	"Ip6OutNoRoutes":     "packets without a route",
	"Ip6ReasmFails":      "fragments that did not become a packet",
	"Ip6FragFails":       "packets too big for the way",
	"Icmp6InErrors":      "ICMPv6 messages that are broken, or errors about a connection that no socket here has",
	"Icmp6InCsumErrors":  "ICMPv6 messages with a wrong checksum",
	"Udp6NoPorts":        "datagrams to a port that nobody listens on",
	"Udp6InErrors":       "datagrams that could not be delivered",
	"Udp6RcvbufErrors":   "datagrams lost since the socket's receive buffer was full",
	"Udp6SndbufErrors":   "datagrams lost since the socket's send buffer was full",
	"Udp6InCsumErrors":   "datagrams with a wrong checksum",
	"Udp6MemErrors":      "datagrams lost since net.ipv4.udp_mem was reached",
}
