package diagnose

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// banned tells drops of programs that ban hosts. Their chains hold nothing else.
func (d *diagnosis) banned() []drop.Why {
	p := d.c.Place
	if p.Rule == nil || !d.f.ip() {
		return nil
	}
	switch o := ownerOf(p.Chain, p.Rule); o {
	case Fail2ban:
		jail := ""
		if name, ok := strings.CutPrefix(p.Chain.Name, "f2b-"); ok && p.Chain.Table.Name != "f2b-table" {
			jail = " (jail " + name + ")"
		}
		return meant("fail2ban has banned %s%s: the drop is meant", d.f.Source, jail)
	case CrowdSec:
		return meant("CrowdSec has banned %s: the drop is meant", d.f.Source)
	}
	return nil
}

func meant(format string, args ...any) []drop.Why {
	return []drop.Why{{Code: drop.WhyMeantDrop, Message: fmt.Sprintf(format, args...)}}
}

// blocklist matches names that people give to lists of those to keep out.
var blocklist = regexp.MustCompile(`(?i)(^|[^a-z])(block|black|ban|deny|denied|drop|evil|bad|bogon|spam|abus|attack|` +
	`f2b|fail2ban|crowdsec|spamhaus|firehol|scan|malware|threat)`)

// blocked tells rules that name the packet's sender, alone or in a list that is
// called one of those to keep out.
func (d *diagnosis) blocked() []drop.Why {
	by := d.dropper()
	r, s := by.rule, &by.shape
	if r == nil || !d.f.ip() {
		return nil
	}
	for _, m := range s.matches {
		if m.Negate || len(m.Fields) != 1 || d.match(m) != replay.Yes {
			continue
		}
		switch m.Fields[0] {
		case ruleset.IPSource, ruleset.IP6Source:
		default:
			continue
		}
		switch {
		case m.Set != nil && !m.Set.Anonymous && (blocklist.MatchString(m.Set.Name) || blocklist.MatchString(d.c.Place.Chain.Name)):
			return meant("%s is in the blocklist %s of %s: the drop looks meant", d.f.Source, m.Set.Name, d.ruleName(by.with(m)))
		case m.Set == nil && oneHost(m):
			return meant("%s names %s itself as its source: the drop looks meant", d.ruleName(by.with(m)), d.f.Source)
		}
	}
	return nil
}

// listed tells a rule for those that are in a list of xt_recent.
func (d *diagnosis) listed() []drop.Why {
	by := d.dropper()
	if by.rule == nil || by.shape.odd || len(by.shape.doubts) != 1 || !d.holds(&by.shape) {
		return nil
	}
	l := by.shape.doubts[0]
	name := recentList.FindStringSubmatch(l.Text)
	if l.Kind != "recent" || name == nil || strings.Contains(l.Text, "! ") || limitOf(&by.shape) != nil {
		return nil
	}
	return meant("it is in the list %s of %s (/proc/net/xt_recent/%[1]s): the drop looks meant", name[1], d.ruleName(by.rule))
}

var recentList = regexp.MustCompile(`--(?:rcheck|update|remove)\b.* --name ([^ ]+)`)

// oneHost reports whether the match is for a single address.
func oneHost(m *ruleset.Match) bool {
	if len(m.Ranges) != 1 || !bytes.Equal(m.Ranges[0].From, m.Ranges[0].To) {
		return false
	}
	for _, b := range m.Mask {
		if b != 0xff {
			return false
		}
	}
	return true
}

// scanned tells TCP flags that no program sends, dropped by a rule that looks at
// flags or by default.
func (d *diagnosis) scanned() []drop.Why {
	kind, ok := d.f.scan()
	if !ok {
		return nil
	}
	if by := d.dropper(); by.rule != nil && !d.byDefault() {
		if by.shape.has(ruleset.TCPFlags, ruleset.CTState) == nil {
			return nil
		}
	}
	return meant("its TCP flags are %s, which no program sends: the drop looks meant", kind)
}
