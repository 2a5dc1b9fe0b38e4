package diagnose

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

var (
	seconds   = regexp.MustCompile(`--seconds ([0-9]+)`)
	hitcount  = regexp.MustCompile(`--hitcount ([0-9]+)`)
	connlimit = regexp.MustCompile(`--connlimit-(?:above|upto) ([0-9]+)`)
	hashlimit = regexp.MustCompile(`--hashlimit(?:-above|-upto)? ([0-9]+)(b|kb|mb)?/([a-z]+)`)
	plain     = regexp.MustCompile(`--limit ([0-9]+)/([a-z]+)`)
	nftRate   = regexp.MustCompile(`limit rate (?:over )?([0-9]+)/([a-z]+)`)
	nftCount  = regexp.MustCompile(`ct count (?:over )?([0-9]+)`)
)

// limitWords says what a limit counts; "" where there are no words for it.
func (d *diagnosis) limitWords(r *ruleset.Rule, l *ruleset.Opaque) string {
	text := d.limitText(r, l)
	what := "packets"
	if m := stateMatchOf(r); m != nil && strings.Contains(strings.ToLower(m.Text), "new") || stateOnlyNew(r) {
		what = "new connections"
	}
	first := func(re *regexp.Regexp) []string { return re.FindStringSubmatch(l.Text + " " + text) }
	whose := ""
	if strings.Contains(l.Text, "srcip") || elementLimit.MatchString(d.text(r)) {
		whose = " from one address"
	}
	if m := first(hitcount); l.Kind == "recent" && m != nil {
		words := m[1] + " " + what
		if s := first(seconds); s != nil {
			words += " in " + s[1] + " s"
		}
		if strings.Contains(l.Text, "--rdest") {
			return words + " to one address"
		}
		return words + " from one address"
	}
	if m := first(connlimit); m != nil {
		return m[1] + " connections at a time from one address or network"
	}
	if m := first(nftCount); m != nil {
		return m[1] + " connections at a time" + whose
	}
	if m := first(hashlimit); m != nil && m[2] == "" {
		return fmt.Sprintf("%s %s a %s%s", m[1], what, unit(m[3]), whose)
	}
	for _, re := range []*regexp.Regexp{plain, nftRate} {
		if m := first(re); m != nil {
			return fmt.Sprintf("%s %s a %s%s", m[1], what, unit(m[2]), whose)
		}
	}
	return ""
}

// stateOnlyNew reports whether the rule is for new connections alone.
func stateOnlyNew(r *ruleset.Rule) bool {
	m := stateMatchOf(r)
	return m != nil && len(m.Mask) == 4 && uint32(m.Mask[0])<<24|uint32(m.Mask[1])<<16|uint32(m.Mask[2])<<8|uint32(m.Mask[3]) == ruleset.CTNew
}

// unit writes what iptables and nft shorten.
func unit(s string) string {
	for _, full := range []string{"second", "minute", "hour", "day", "week"} {
		if strings.HasPrefix(full, s) {
			return full
		}
	}
	return s
}

// limitDescribed is a limit in words, with its rule's own behind.
func (d *diagnosis) limitDescribed(r *ruleset.Rule, l *ruleset.Opaque) string {
	text := d.limitText(r, l)
	if words := d.limitWords(r, l); words != "" {
		return words + ": " + text
	}
	return text
}

// recentName is the list of an xt_recent match, where it is safe in a path.
var recentName = regexp.MustCompile(`--name ([A-Za-z0-9_][A-Za-z0-9_.-]*)(?: |$)`)

// forget takes the sender from a list of xt_recent, which is the way out of it.
func (d *diagnosis) forget(r *ruleset.Rule) string {
	s := shapeOf(r)
	l := limitOf(&s)
	if l == nil || l.Kind != "recent" {
		return ""
	}
	name := recentName.FindStringSubmatch(l.Text)
	if name == nil {
		return ""
	}
	who := d.f.Source
	if strings.Contains(l.Text, "--rdest") {
		who = d.f.Destination
	}
	return d.c.Namespace.in(shell("sh", "-c", fmt.Sprintf("echo -%s > /proc/net/xt_recent/%s", who, name[1])))
}
