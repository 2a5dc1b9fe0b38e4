package netfilter

import "strconv"

// Bits of a connection's status, enum ip_conntrack_status: IPS_*.
const (
	StatusExpected  = 1 << 0
	StatusSeenReply = 1 << 1
	StatusAssured   = 1 << 2
	StatusConfirmed = 1 << 3
	StatusSNAT      = 1 << 4
	StatusDNAT      = 1 << 5
	StatusSeqAdjust = 1 << 6
	StatusNATDone   = 1<<7 | 1<<8 // IPS_NAT_DONE_MASK: NAT has decided, both ways
	StatusDying     = 1 << 9
	StatusHelper    = 1 << 13
)

// StatusNames names the set bits of enum ip_conntrack_status, lowest first, as the
// kernel does without its IPS_, but for snat and dnat, which nft and conntrack
// call so. A bit that the kernel has given no name yet is "bit16".
func StatusNames(bits uint32) []string { return AppendStatus(nil, bits) }

// AppendStatus is StatusNames, behind the names that are there.
func AppendStatus(names []string, bits uint32) []string {
	if bits == 0 {
		return nil
	}
	for bit := range 32 {
		if bits&(1<<bit) != 0 {
			names = append(names, statusBit(bit))
		}
	}
	return names
}

func statusBit(bit int) string {
	switch bit {
	case 0:
		return "expected"
	case 1:
		return "seen_reply"
	case 2:
		return "assured"
	case 3:
		return "confirmed"
	case 4:
		return "snat"
	case 5:
		return "dnat"
	case 6:
		return "seq_adjust"
	case 7:
		return "src_nat_done"
	case 8:
		return "dst_nat_done"
	case 9:
		return "dying"
	case 10:
		return "fixed_timeout"
	case 11:
		return "template"
	case 12:
		// IPS_UNTRACKED in the header for user space, but the kernel has
		// uses it for this (5.10 to 7.2).
		return "nat_clash"
	case 13:
		return "helper"
	case 14:
		return "offload"
	case 15:
		return "hw_offload"
	}
	return "bit" + strconv.Itoa(bit)
}

// TCPState names a value of enum tcp_conntrack as conntrack -L prints it, or its
// number where it is none.
func TCPState(state uint8) string {
	switch state {
	case 0:
		return "NONE"
	case 1:
		return "SYN_SENT"
	case 2:
		return "SYN_RECV"
	case 3:
		return "ESTABLISHED"
	case 4:
		return "FIN_WAIT"
	case 5:
		return "CLOSE_WAIT"
	case 6:
		return "LAST_ACK"
	case 7:
		return "TIME_WAIT"
	case 8:
		return "CLOSE"
	case 9:
		return "SYN_SENT2" // simultaneous open
	}
	return strconv.Itoa(int(state))
}
