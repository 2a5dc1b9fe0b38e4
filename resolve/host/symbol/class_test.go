package symbol

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// Every place of four kernels keeps the class that it was given after a look at
// its source.
func TestPlacesOfFourKernels(t *testing.T) {
	f, err := os.Open("testdata/places.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[0] == "#" {
			continue
		}
		count++
		if got := (Free{Symbol: fields[0]}).Class(); got.String() != fields[1] {
			t.Errorf("%s is %s, was %s", fields[0], got, fields[1])
		}
	}
	if err := lines.Err(); err != nil || count < 500 {
		t.Errorf("%d places, %v", count, err)
	}
}

func TestClassByReason(t *testing.T) {
	tests := []struct {
		symbol, reason string
		want           Class
	}{
		{"nf_hook_slow", "NETFILTER_DROP", Lost},
		{"nft_do_chain", "NETFILTER_DROP", Lost},
		{"nf_queue", "NOT_SPECIFIED", Lost},
		{"tcp_v4_rcv", "NO_SOCKET", Lost},
		{"tcp_v4_rcv", "TCP_CSUM", Lost},
		{"neigh_invalidate", "NEIGH_FAILED", Lost},
		{"neigh_invalidate", "QUEUE_PURGE", Lost},
		{"skb_queue_purge_reason", "QUEUE_PURGE", Done},
		{"tcp_data_queue", "TCP_OLD_DATA", Done},
		{"tcp_data_queue", "TCP_ZEROWINDOW", Lost},
		{"tcp_drop_reason", "TCP_OFOMERGE", Done},
		{"tcp_validate_incoming", "TCP_OLD_SEQUENCE", Done},
		{"tcp_validate_incoming", "TCP_INVALID_SEQUENCE", Lost},
		{"icmpv6_rcv", "NOT_SPECIFIED", Done},
		{"icmpv6_rcv", "ICMP_CSUM", Lost},
		{"icmpv6_rcv", "NO_SOCKET", Done},
		{"icmp_rcv", "NOT_SPECIFIED", Lost},
		{"raw_rcv_skb", "SOCKET_FILTER", Done},
		{"raw_rcv_skb", "SOCKET_RCVBUFF", Lost},
		{"udp_queue_rcv_one_skb", "SOCKET_FILTER", Lost},
		{"tpacket_rcv", "PACKET_SOCK_ERROR", Done},
		{"skb_release_data", "NETFILTER_DROP", Part},
		{"never_heard_of", "NOT_SPECIFIED", Lost},
		{"", "", Lost},
		{"ip_mc_output.isra.0", "", Done},
		{"devlink_port_notify.constprop.0", "", Done},
		{"vmxnet3_unmap_pkt", "NOT_SPECIFIED", Done},
		{"net_tx_action", "NOT_SPECIFIED", Done},
	}
	for _, tt := range tests {
		if got := (Free{Symbol: tt.symbol, Reason: tt.reason}).Class(); got != tt.want {
			t.Errorf("%s, %s: %s, want %s", tt.symbol, tt.reason, got, tt.want)
		}
	}
}

func TestClassByPacketAndCaller(t *testing.T) {
	const fin, syn, rst, ack = 1, 2, 4, 16
	tcp := func(reason string, flags uint8) Free {
		return Free{Symbol: "tcp_v4_rcv", Reason: reason, Protocol: 6, TCPFlags: flags}
	}
	tests := []struct {
		name string
		free Free
		want Class
	}{
		{"FIN to a timewait socket", tcp("NOT_SPECIFIED", fin|ack), Done},
		{"the same before reasons", tcp("", fin|ack), Done},
		{"RST to a timewait socket", tcp("NOT_SPECIFIED", rst), Done},
		{"SYN come again", tcp("NOT_SPECIFIED", syn), Done},
		{"SYN before reasons: perhaps no socket", tcp("", syn), Lost},
		{"SYN with no socket", tcp("NO_SOCKET", syn), Lost},
		{"ACK that TCP_DEFER_ACCEPT has no use for", Free{Symbol: "tcp_v4_rcv", Reason: "NOT_SPECIFIED",
			Protocol: 6, TCPFlags: ack, Empty: true, Deferred: true}, Done},
		{"data for which it has one", Free{Symbol: "tcp_v4_rcv", Reason: "NOT_SPECIFIED",
			Protocol: 6, TCPFlags: ack, Deferred: true}, Lost},
		{"FIN with data to a full accept queue", Free{Symbol: "tcp_v4_rcv", Reason: "NOT_SPECIFIED",
			Protocol: 6, TCPFlags: fin | ack, Overflow: true}, Lost},
		{"FIN with no socket", tcp("NO_SOCKET", fin|ack), Lost},
		{"ACK to a full accept queue", tcp("NOT_SPECIFIED", ack), Lost},
		{"SYN-ACK", tcp("NOT_SPECIFIED", syn|ack), Lost},
		{"flags of what is not TCP", Free{Symbol: "tcp_v4_rcv", TCPFlags: fin}, Lost},
		{"IPv6", Free{Symbol: "tcp_v6_rcv", Reason: "NOT_SPECIFIED", Protocol: 6, TCPFlags: fin | ack}, Done},

		{"ACK of the last data", Free{Symbol: "tcp_rcv_state_process", Reason: "NOT_SPECIFIED", Protocol: 6,
			TCPFlags: ack, Empty: true}, Done},
		{"data after the end", Free{Symbol: "tcp_rcv_state_process", Reason: "NOT_SPECIFIED", Protocol: 6,
			TCPFlags: ack}, Lost},
		{"SYN to a closed socket", Free{Symbol: "tcp_rcv_state_process", Protocol: 6, TCPFlags: syn, Empty: true}, Lost},

		{"keep-alive in 6.1", Free{Symbol: "tcp_validate_incoming", Reason: "TCP_INVALID_SEQUENCE",
			Protocol: 6, TCPFlags: ack, Empty: true}, Done},
		{"data outside the window", Free{Symbol: "tcp_validate_incoming", Reason: "TCP_INVALID_SEQUENCE",
			Protocol: 6, TCPFlags: ack}, Lost},
		{"RST outside the window", Free{Symbol: "tcp_validate_incoming", Reason: "TCP_INVALID_SEQUENCE",
			Protocol: 6, TCPFlags: rst, Empty: true}, Lost},

		{"echo reply before reasons", Free{Symbol: "icmp_rcv", Protocol: 1, ICMPType: 0}, Done},
		{"echo request before reasons", Free{Symbol: "icmp_rcv", Protocol: 1, ICMPType: 8}, Lost},
		{"unknown ICMP before reasons", Free{Symbol: "icmp_rcv"}, Lost},

		{"a new device's probe", Free{Symbol: "netif_napi_add_weight_locked", Reason: "NOT_SPECIFIED", Blank: true}, Done},
		{"an empty ring", Free{Symbol: "kfree_skb_list", Blank: true}, Done},
		{"frames that GRO held", Free{Symbol: "__netif_napi_del_locked", Reason: "NOT_SPECIFIED"}, Lost},

		{"pieces of a head", Free{Symbol: "kfree_skb_list", Callers: []string{"skb_release_data"}}, Part},
		{"a list of a queueing discipline", Free{Symbol: "kfree_skb_list", Callers: []string{"__dev_queue_xmit"}}, Lost},
		{"a list of unknown origin", Free{Symbol: "kfree_skb_list_reason"}, Lost},
		{"a socket's queue", Free{Symbol: "skb_queue_purge", Callers: []string{"netlink_release"}}, Done},
		{"the queue of an IPsec policy", Free{Symbol: "skb_queue_purge", Callers: []string{"xfrm_policy_kill.part.0"}}, Lost},
	}
	for _, tt := range tests {
		if got := tt.free.Class(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestExplain(t *testing.T) {
	tests := []struct {
		symbol, reason, want string
	}{
		{"tcp_v4_rcv", "NO_SOCKET", "no socket for this address and port"},
		{"cookie_v4_check", "NO_SOCKET", "the answer to a SYN cookie, for which the listening socket has no room: its accept queue is full, or memory is short"},
		{"icmp_rcv", "NO_SOCKET", "an echo reply that no ping socket waits for"},
		{"ip_forward", "IP_INHDR", "TTL expired: too many hops on the way"},
		{"ip_rcv_core", "IP_INHDR", "the IP header is wrong"},
		{"nf_queue", "NOT_SPECIFIED", "NFQUEUE: no program listens on that queue, or it is full"},
		{"nf_queue", "", "NFQUEUE: no program listens on that queue, or it is full"},
		{"neigh_destroy", "QUEUE_PURGE", "the neighbour entry or device it was to use was removed"},
		{"ip_fragment.constprop.0", "", "larger than the MTU and must not be fragmented"},

		// Places with several causes say nothing.
		{"tcp_v4_rcv", "", ""},
		{"tcp_v4_rcv", "NOT_SPECIFIED", ""},
		{"__udp4_lib_rcv", "", ""},
		{"ip_forward", "", ""},
		{"ip_rcv_core", "", ""},
		// Netfilter's are told by the rule.
		{"nf_hook_slow", "NETFILTER_DROP", ""},
		{"nf_hook_slow", "", ""},
		{"", "SOMETHING_NEW", Newer},
	}
	for _, tt := range tests {
		if got := Explain(tt.symbol, tt.reason); got != tt.want {
			t.Errorf("Explain(%q, %q) = %q, want %q", tt.symbol, tt.reason, got, tt.want)
		}
	}
}

// The causes, by the reasons that the kernel gives them.
func TestExplainTellsTheCommonCauses(t *testing.T) {
	for reason, word := range map[string]string{
		"NO_SOCKET": "no socket", "IP_RPFILTER": "rp_filter", "SOCKET_RCVBUFF": "receive buffer full",
		"SOCKET_BACKLOG": "backlog", "TCP_CSUM": "checksum", "UDP_CSUM": "checksum", "IP_CSUM": "checksum",
		"TCP_LISTEN_OVERFLOW": "accept queue full", "XDP": "XDP", "TC_INGRESS": "tc", "FULL_RING": "ring",
		"QDISC_DROP": "queue", "NEIGH_FAILED": "next hop", "XFRM_POLICY": "IPsec", "PKT_TOO_BIG": "MTU",
	} {
		text := Explain("any", reason)
		if !strings.Contains(text, word) {
			t.Errorf("%s: %q lacks %q", reason, text, word)
		}
		if strings.ContainsAny(text, "\n.") && !strings.Contains(text, "net.") || len(text) > 130 {
			t.Errorf("%s: %q is not one short line", reason, text)
		}
	}
}
