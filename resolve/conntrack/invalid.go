package conntrack

import "strings"

// explainInvalid knows the complaints of nf_conntrack_proto_tcp.c and its like by
// a few words that stayed the same from 5.10 to 7.2.
func (f *failure) explainInvalid() (message, fix string) {
	message = "conntrack called the packet invalid"
	if f.Reason != "" {
		message += ": " + f.Reason
	}
	reason := strings.ToLower(f.Reason)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(reason, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("checksum"):
		fix = "sysctl -w net.netfilter.nf_conntrack_checksum=0 where a card or a tunnel leaves checksums to be filled in later"
	case has("window", "upper bound", "lower bound", "bytes more than expected"):
		fix = "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1 where packets take two ways or windows are rewritten"
	case has("invalid rst"):
		fix = "sysctl -w net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=1"
	case has("flag combination", "short packet", "bad packet", "truncated", "bad hw offset"):
		fix = "" // the sender is broken, or scans
	case has("invalid state", "in dir", "no state"):
		fix = "look for packets that take another way back: only one direction passes here"
	}
	return message, fix
}
