package conntrack

import (
	"fmt"
	"github.com/droptrace/droptrace/resolve/drop"
	"strconv"
)

// Code is the failure's name in a drop's why.
func Code(f *drop.Failure) string { return "conntrack-" + string(f.Cause) }

// Explain says in words what went wrong and what would mend it, with the numbers
// that say so. s is the packet's own state and may be nil. There is no fix where
// the kernel has nothing to set.
func Explain(f *drop.Failure, s *drop.Conntrack) (message, fix string) {
	return (*failure)(f).explain(s)
}

func (f *failure) explain(s *drop.Conntrack) (message, fix string) {
	switch f.Cause {
	case drop.CauseTableFull:
		return f.explainFull()
	case drop.CauseEarlyDrop:
		return "the conntrack table was full: a connection without traffic both ways was evicted for a new one", f.largerTable()
	case drop.CauseNoMemory:
		return "the kernel had no memory for a conntrack entry", "look for a process or slab that eats memory: slabtop, dmesg"
	case drop.CauseSameFlowRace:
		return f.explainRace(s)
	case drop.CauseNATPortCollision:
		return f.explainPool()
	case drop.CauseClash:
		return "another packet took this flow's place in the conntrack table first", ""
	case drop.CauseClashResolved:
		return "two packets of one flow raced for its conntrack entry; the kernel let both pass", ""
	case drop.CauseChainTooLong:
		return "too many conntrack entries share one hash bucket" + f.bucketLoad(), f.moreBuckets()
	case drop.CauseDying:
		return "its conntrack entry was deleted before the packet had left", "look for what flushes the table: conntrack -D or -F, a restarted firewall or load balancer"
	case drop.CauseHelper:
		return f.explainHelper()
	case drop.CauseNATInterfaceChanged:
		return "the route changed under a masqueraded connection: its entry was deleted, so that it begins anew", ""
	case drop.CauseTCPReopenRace:
		return "a connection was reopened while its old conntrack entry was being deleted; the client will try again", "lower nf_conntrack_tcp_timeout_time_wait if clients reuse ports this fast"
	case drop.CauseInvalid:
		return f.explainInvalid()
	}
	if f.Note != "" {
		return "conntrack dropped the packet: " + f.Note, ""
	}
	return "conntrack dropped the packet", ""
}

func (f *failure) explainHelper() (message, fix string) {
	message = "a conntrack helper, or the sequence numbers it adjusts, refused the packet"
	if f.Reason != "" {
		message = "a conntrack helper refused the packet: " + f.Reason
	}
	return message, "take the helper off this port: a CT --helper rule, nft ct helper set"
}

func (f *failure) explainFull() (message, fix string) {
	t := f.Table
	if t == nil {
		return "the conntrack table is full", f.largerTable()
	}
	message = fmt.Sprintf("the conntrack table is full: %d of %d entries", t.Count, t.Max)
	if t.Growth != nil && *t.Growth > 0 {
		message += fmt.Sprintf(", %d more each second", *t.Growth)
	}
	return message, f.largerTable()
}

// largerTable doubles the limit, with buckets to match, as the kernel itself
// proportions them (nf_conntrack_init_start: max = buckets since 5.15).
func (f *failure) largerTable() string {
	if f.Table == nil || f.Table.Max == 0 {
		return "raise net.netfilter.nf_conntrack_max, or exempt traffic that needs no conntrack: -t raw -j CT --notrack"
	}
	wanted := 2 * f.Table.Max
	fix := "sysctl -w net.netfilter.nf_conntrack_max=" + strconv.FormatUint(wanted, 10)
	if f.Table.Buckets > 0 && f.Table.Buckets < wanted/4 {
		fix += " net.netfilter.nf_conntrack_buckets=" + strconv.FormatUint(wanted/4, 10)
	}
	return fix
}

func (f *failure) explainRace(s *drop.Conntrack) (message, fix string) {
	message = "two packets of one flow raced for its conntrack entry, and this one lost"
	if s == nil || s.Original == nil {
		return message, ""
	}
	if s.Original.Protocol == "udp" && s.Original.DestinationPort == 53 {
		return message + ": a resolver sends A and AAAA queries from one socket, and this one will time out after 5 s",
			`"options single-request-reopen" in resolv.conf, or exempt DNS: iptables -t raw -A PREROUTING -p udp --dport 53 -j CT --notrack`
	}
	if s.Original.Protocol == "udp" {
		return message, "exempt the service: iptables -t raw -A PREROUTING -p udp --dport " +
			strconv.Itoa(int(s.Original.DestinationPort)) + " -j CT --notrack (not where it is translated)"
	}
	return message, ""
}

func (f *failure) explainPool() (message, fix string) {
	message = "NAT gave this flow a port that another one already has: the pool has none left"
	fix = "widen the SNAT range (more ports, more addresses), or add --random-fully (nft: fully-random)"
	if p := f.Pool; p != nil && p.InUse > 0 {
		message = fmt.Sprintf("NAT found no free port of %s towards %s: %d %s ports are in use (%d to %d)",
			p.Address, p.Destination, p.InUse, p.Protocol, p.Low, p.High)
	}
	return message, fix
}

func (f *failure) bucketLoad() string {
	if f.Table == nil || f.Table.Buckets == 0 {
		return ""
	}
	// Each connection stands in two buckets, one a direction.
	return fmt.Sprintf(": %d entries in %d buckets, %.1f each", f.Table.Count, f.Table.Buckets,
		2*float64(f.Table.Count)/float64(f.Table.Buckets))
}

func (f *failure) moreBuckets() string {
	if f.Table == nil || f.Table.Buckets == 0 {
		return "raise net.netfilter.nf_conntrack_buckets"
	}
	return "sysctl -w net.netfilter.nf_conntrack_buckets=" + strconv.FormatUint(max(2*f.Table.Buckets, f.Table.Count), 10)
}
