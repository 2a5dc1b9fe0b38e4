package output

import (
	"strconv"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// chainName is the chain with all that is needed to find it. The program is the
// command that shows its rules: what people type next.
func chainName(r *drop.Rule, ascii bool) string {
	w := ruleset.ChainWords(ruleset.Engine(r.Engine), r.Family, r.Table, r.Chain)
	return Escape(w[0], ascii) + "\x00" + Escape(w[1], ascii) + "\x00" + Escape(w[2], ascii)
}

// isPolicy tells a policy from a rule whose place is not known.
func isPolicy(r *drop.Rule) bool {
	return r.Handle == 0 && r.Number == 0 && r.Policy != ""
}

// place is a rule's place in its chain: "rule 7 (handle 12)".
func place(r *drop.Rule) string {
	if isPolicy(r) {
		return "policy\x00" + Escape(r.Policy, true)
	}
	return ruleset.PlaceName(r.Number, r.Handle, "\x00")
}

// shortPlace is a place that was told in full before: "7".
func shortPlace(r *drop.Rule) string {
	switch {
	case isPolicy(r):
		return ""
	case r.Number != 0:
		return "\x00" + strconv.Itoa(r.Number)
	}
	return "\x00" + place(r)
}

// netnsName is empty for the namespace droptrace runs in.
func netnsName(n *drop.Netns, ascii bool) string {
	switch {
	case n.Own || *n == drop.Netns{}:
		return ""
	case n.Name != "":
		return "netns\x00" + Escape(n.Name, ascii)
	case n.Command != "":
		return "netns\x00of\x00" + Escape(n.Command, ascii) + "\x00(" + strconv.Itoa(n.PID) + ")"
	case n.PID != 0:
		return "netns\x00of\x00process\x00" + strconv.Itoa(n.PID)
	}
	return "netns\x00" + strconv.FormatUint(uint64(n.Inode), 10)
}

// count writes 1204 as 1,204: numbers are read at a glance.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural writes "1 drop" and "1,204 drops".
func Plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// seconds writes a time span as people say it: 0.4 s, 41 s, 12 min 5 s, 3 h 2 min.
func seconds(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 10*time.Second-50*time.Millisecond && d.Round(100*time.Millisecond)%time.Second != 0:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute-time.Second/2:
		return strconv.FormatInt(int64(d.Round(time.Second)/time.Second), 10) + " s"
	case d < time.Hour-time.Second/2:
		d = d.Round(time.Second)
		return strconv.Itoa(int(d/time.Minute)) + " min " + strconv.Itoa(int(d%time.Minute/time.Second)) + " s"
	}
	d = d.Round(time.Minute)
	return count(uint64(d/time.Hour)) + " h " + strconv.Itoa(int(d%time.Hour/time.Minute)) + " min"
}
