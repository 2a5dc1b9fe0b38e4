package xtables

import "github.com/droptrace/droptrace/resolve/rules/iptables"

const (
	rejectTarget = "REJECT"
	queueTarget  = "NFQUEUE"
)

// canDrop reports whether evaluating the rule can end in a drop. A jump cannot:
// the stack has room for every chain there is, and chains do not loop.
func canDrop(e *Entry) bool {
	if e.MayHotdrop {
		return true
	}
	if !e.Standard {
		return !iptables.TargetPasses(e.Target)
	}
	return e.Verdict < 0 && e.Verdict != verdictAccept && e.Verdict != verdictReturn
}

func queues(e *Entry) bool {
	return e.Target == queueTarget || e.Standard && e.Verdict == verdictQueue
}
