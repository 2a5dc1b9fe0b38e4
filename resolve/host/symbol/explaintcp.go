package symbol

func explainTCP(reason string) string {
	switch reason {
	case "TCP_CSUM":
		return "TCP checksum wrong"
	case "TCP_FLAGS":
		return "its TCP flags make no sense in this state of the connection"
	case "TCP_LISTEN_OVERFLOW":
		return "accept queue full: the program does not accept connections fast enough (backlog, net.core.somaxconn)"
	case "TCP_ABORT_ON_DATA":
		return "data for a connection that the program has closed"
	case "TCP_ZEROWINDOW":
		return "data while the receive window is zero: the program does not read"
	case "TCP_OVERWINDOW":
		return "beyond the receive window"
	case "TCP_OLD_DATA":
		return "this data had arrived before (an unneeded retransmission)"
	case "TCP_OFOMERGE", "TCP_OFO_DROP":
		return "this data had arrived before, out of order"
	case "TCP_OFO_QUEUE_PRUNE":
		return "out-of-order data thrown away: receive memory is short"
	case "TCP_OLD_SEQUENCE":
		return "before the receive window: a duplicate or a keep-alive"
	case "TCP_INVALID_SEQUENCE", "TCP_INVALID_END_SEQUENCE":
		return "outside the receive window"
	case "TCP_INVALID_ACK_SEQUENCE":
		return "acknowledges what was not sent"
	case "TCP_ACK_UNSENT_DATA":
		return "acknowledges data that was not sent yet"
	case "TCP_OLD_ACK", "TCP_TOO_OLD_ACK":
		return "an acknowledgement that is too old"
	case "TCP_RFC7323_PAWS":
		return "its timestamp is older than the last one (PAWS)"
	case "TCP_RFC7323_PAWS_ACK":
		return "an acknowledgement that a later one overtook (PAWS)"
	case "TCP_RFC7323_TW_PAWS":
		return "its timestamp is older than those of the connection before, in TIME_WAIT (PAWS)"
	case "TCP_RFC7323_TSECR":
		return "it echoes a timestamp that was never sent"
	case "TCP_RESET":
		return "a reset that is not accepted: it fits no connection, or not this point of it"
	case "TCP_INVALID_SYN":
		return "a SYN within an open connection"
	case "TCP_CLOSE":
		return "the TCP socket is closed"
	case "TCP_FASTOPEN":
		return "refused while a fast-open connection is not yet acknowledged"
	case "TCP_MINTTL":
		return "its TTL is below what the socket asks for (IP_MINTTL)"
	}
	return ""
}

func explainTCPAuth(reason string) string {
	switch reason {
	case "TCP_AUTH_HDR":
		return "its TCP-MD5 or TCP-AO option is malformed or there twice"
	case "TCP_MD5NOTFOUND":
		return "no TCP-MD5 signature, and one is required"
	case "TCP_MD5UNEXPECTED":
		return "a TCP-MD5 signature, and none is expected"
	case "TCP_MD5FAILURE":
		return "wrong TCP-MD5 signature"
	case "TCP_AONOTFOUND":
		return "no TCP-AO signature, and one is required"
	case "TCP_AOUNEXPECTED":
		return "a TCP-AO signature, and none is expected"
	case "TCP_AOKEYNOTFOUND":
		return "unknown TCP-AO key"
	case "TCP_AOFAILURE":
		return "wrong TCP-AO signature"
	}
	return ""
}
