package symbol

// Class says what a free that fired skb:kfree_skb meant for the packet.
type Class uint8

const (
	// Lost: the packet went no further. The class of every place that is
	// not known to be otherwise.
	Lost Class = iota
	// Done: no packet was lost. The buffer had been used, or was a copy, a
	// duplicate, a control message.
	Done
	// Part: a piece of another buffer that is freed, trimmed or taken apart.
	// Where that one is lost, it has a record of its own.
	Part
)

func (c Class) String() string {
	switch c {
	case Done:
		return "done"
	case Part:
		return "part"
	}
	return "lost"
}

// Free is one firing of skb:kfree_skb, as far as it is known. The zero value of
// every field but Symbol means unknown.
type Free struct {
	Symbol  string   // the function that freed: Table.Lookup of the location
	Reason  string   // by name; "" where the kernel gives none (before 5.17)
	Callers []string // the functions above Symbol, nearest first

	Protocol uint8 // of IP: 1 ICMP, 6 TCP, 58 ICMPv6
	TCPFlags uint8 // the header's flag byte, where Protocol is TCP
	Empty    bool  // a TCP segment with no payload
	Blank    bool  // a buffer with no byte and no protocol
	ICMPType uint8 // where Protocol is ICMP or ICMPv6
	// What the kernel counted just before: a bare ACK that TCP_DEFER_ACCEPT has no use
	// for; a full accept queue.
	Deferred, Overflow bool
}

// Class tells whether the packet was lost. A blank buffer never was one: what the
// kernel tries when a device is made or GRO is switched (napi_get_frags_check, which
// compilers put into netif_napi_add_weight_locked and its older names), what waited in
// a driver's ring for a frame to come. A frame that came has a protocol.
//
// What is not known to lose none is
// Lost: a needless line is better than a silent loss.
func (f Free) Class() Class {
	f.Symbol = Base(f.Symbol)
	if f.Blank {
		return Done
	}
	switch f.Symbol {
	case "kfree_skb_list", "kfree_skb_list_reason":
		return f.ofList()
	case "skb_queue_purge", "skb_queue_purge_reason":
		return f.ofQueue()
	case "tcp_v4_rcv", "tcp_v6_rcv":
		return f.ofTCP()
	case "tcp_rcv_state_process":
		return f.ofClosingTCP()
	case "icmp_rcv", "icmpv6_rcv", "ping_rcv":
		return f.ofICMP()
	case "raw_rcv", "raw_rcv_skb", "rawv6_rcv", "rawv6_rcv_skb":
		return f.ofRaw()
	}
	switch {
	case isPart(f.Symbol):
		return Part
	case f.isHarmless(), isHandled(f.Symbol), isCopy(f.Symbol), isSocketEnd(f.Symbol),
		isUnformed(f.Symbol), isSent(f.Symbol), isMessage(f.Symbol):
		return Done
	}
	return Lost
}

// unspecified reports a free whose place alone can tell the cause.
func (f Free) unspecified() bool {
	return f.Reason == "" || f.Reason == "NOT_SPECIFIED"
}

// ofList: kfree_skb_list is the location itself up to 6.1 (later it hands on its
// own return address, __fix_address). Its out-of-line callers are the queueing
// disciplines, fragmentation and GSO, which lose packets. The pieces of a freed
// head come from skb_release_data, into which all four kernels have it inlined.
func (f Free) ofList() Class {
	if len(f.Callers) == 0 {
		return Lost
	}
	f.Symbol, f.Callers = f.Callers[0], f.Callers[1:]
	return f.Class()
}

// ofQueue: skb_queue_purge empties the queues of netlink, unix, packet and audit
// sockets at their end, and error queues. What the XFRM policy queue holds are
// packets that waited for a state (net/xfrm/xfrm_policy.c).
func (f Free) ofQueue() Class {
	if len(f.Callers) > 0 {
		switch Base(f.Callers[0]) {
		case "xfrm_policy_kill", "xfrm_policy_queue_process":
			return Lost
		}
	}
	return Done
}

// ofTCP tells apart what tcp_v4_rcv and tcp_v6_rcv free at discard_it with no
// reason. A socket in TIME_WAIT, or in FIN_WAIT2 after close (it is a timewait
// socket too), answers a segment and then frees it so, 5.10 to 7.2: the peer's FIN
// of every connection that was closed here first. A RST is obeyed there. In
// NEW_SYN_RECV a SYN come again is answered again (tcp_check_req).
//
// A bare ACK for which a listening socket has no use is remembered there.
//
// What is left are real ones: the ACK that finds the accept queue full (no reason
// before 6.14), a segment with no socket (no reason before 5.17).
func (f Free) ofTCP() Class {
	const fin, syn, rst, ack = 1, 2, 4, 16
	if !f.unspecified() {
		return Lost
	}
	switch flags := f.TCPFlags; {
	case f.Protocol != 6, f.Overflow:
		return Lost
	case flags&(fin|rst) != 0, f.Deferred && f.Empty:
		return Done
	case flags&(syn|ack) == syn && f.Reason != "":
		return Done // with no reasons it may as well have met no socket
	}
	return Lost
}

// ofClosingTCP: in CLOSE_WAIT, CLOSING and LAST_ACK nothing can follow from the peer,
// so that what came is freed at discard with no reason once its acknowledgement was
// taken: each that answers the last data before a close.
func (f Free) ofClosingTCP() Class {
	const syn, rst, ack = 2, 4, 16
	if f.unspecified() && f.Protocol == 6 && f.Empty && f.TCPFlags&(syn|rst|ack) == ack {
		return Done
	}
	return Lost
}

// ofICMP: an echo reply for a ping on a raw socket has reached it as a copy and
// then meets no ping socket (NO_SOCKET; in 6.18 and 7.2 ping_rcv frees it itself).
// icmpv6_rcv frees with kfree_skb what it has handled: in 5.10 all but echoes, in
// 6.1 neighbour discovery and errors, in 6.12 what it ignores on purpose.
func (f Free) ofICMP() Class {
	const icmp, echoReply = 1, 0
	switch {
	case f.Reason == "NO_SOCKET":
		return Done
	case f.Symbol == "icmpv6_rcv" && f.unspecified():
		return Done
	case f.Reason == "" && f.Protocol == icmp && f.ICMPType == echoReply:
		return Done
	}
	return Lost
}

// ofRaw: a raw socket gets a copy of the packet. Its own filter refusing that is
// no loss; its full buffer is one, to a routing daemon for instance.
func (f Free) ofRaw() Class {
	if f.Reason == "SOCKET_FILTER" {
		return Done
	}
	return Lost
}

// isHarmless reports reasons that name no loss wherever they are given.
func (f Free) isHarmless() bool {
	switch f.Reason {
	case "TCP_OLD_DATA", "TCP_OFOMERGE", "TCP_OFO_DROP", "DUP_FRAG":
		return true // everything in it had arrived before
	case "TCP_OLD_SEQUENCE":
		return true // the same with no payload: a keep-alive, and it is answered
	case "TCP_INVALID_SEQUENCE":
		// 6.1 has this one reason for keep-alives and for segments outside
		// the window (tcp_validate_incoming).
		const ack = 16
		return f.Empty && f.Protocol == 6 && f.TCPFlags == ack
	case "TCP_RFC7323_PAWS_ACK":
		return true // a pure ACK that a later one overtook
	case "IPV6_NDISC_NS_OTHERHOST":
		return true // a question to someone else, as in ARP
	case "PACKET_SOCK_ERROR", "SOCKET_CLOSE", "UNIX_DISCONNECT", "UNIX_SKIP_OOB", "CONSUMED":
		return true
	}
	return false
}
