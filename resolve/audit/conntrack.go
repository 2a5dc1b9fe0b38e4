package audit

import (
	"fmt"
	"time"
)

const (
	ConntrackFull    Code = "conntrack-nearly-full"
	ConntrackBuckets Code = "conntrack-few-buckets"
	ConntrackDrops   Code = "conntrack-drops-grow"
)

// How full is how bad, in per cent; and how many entries a bucket may hold
// before each lookup walks a chain that costs. The kernel's own default is one
// to two, by version.
const (
	fullHigh       = 95
	fullMedium     = 80
	entriesABucket = 8
)

// conntrackFill looks at the level of the table.
func conntrackFill(c Conntrack) []Finding {
	var out []Finding
	if c.Count == nil || c.Max == nil || *c.Max <= 0 {
		return nil
	}
	if percent := 100 * *c.Count / *c.Max; percent >= fullMedium {
		f := Finding{Code: ConntrackFull, Severity: Medium,
			Message: fmt.Sprintf("conntrack's table is %d %% full: %d of %d entries; a full one drops every new connection",
				percent, *c.Count, *c.Max),
			Fix: fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 2**c.Max),
		}
		if percent >= fullHigh {
			f.Severity = High
		}
		out = append(out, f)
	}
	if c.Buckets != nil && *c.Buckets > 0 && *c.Max / *c.Buckets > entriesABucket {
		out = append(out, Finding{Code: ConntrackBuckets, Severity: Low,
			Message: fmt.Sprintf("conntrack may hold %d entries in %d buckets: %d in each, which every packet walks through",
				*c.Max, *c.Buckets, *c.Max / *c.Buckets),
			Fix: fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_buckets=%d", *c.Max/2),
		})
	}
	return out
}

// conntrackGrowth compares two samples of the counters.
func conntrackGrowth(before, after ConntrackStats, between time.Duration) []Finding {
	if !before.Known || !after.Known {
		return nil
	}
	var out []Finding
	grown := func(from, to uint64, severity Severity, what string) {
		if to > from {
			out = append(out, Finding{Code: ConntrackDrops, Severity: severity,
				Message: fmt.Sprintf("conntrack's counter %s, %d more in %s (%d since start)", what, to-from, short(between), to)})
		}
	}
	grown(before.Drop, after.Drop, High, "drop grows: packets of new connections die")
	grown(before.InsertFailed, after.InsertFailed, Medium, "insert_failed grows: connections clash")
	grown(before.EarlyDrop, after.EarlyDrop, High, "early_drop grows: living connections are thrown out of a full table")
	grown(before.ChainTooLong, after.ChainTooLong, Medium, "chaintoolong grows: the hash table is too small or attacked")
	return out
}

func short(d time.Duration) string { return d.Round(time.Millisecond).String() }
