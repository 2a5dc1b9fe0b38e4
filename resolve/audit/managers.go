package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const ManagersAtOdds Code = "managers-at-odds"

// managers looks for programs that each take the firewall for theirs. Programs
// that only add to it (fail2ban, libvirt) are no trouble.
func managers(rulesets []*ruleset.Ruleset) []Finding {
	var owners []string
	publishes := false
	eachRule(rulesets, func(r *ruleset.Rule) {
		switch o := diagnose.OwnerOf(r.Chain, r); o {
		case diagnose.Firewalld, diagnose.UFW, diagnose.CSF, diagnose.Shorewall:
			if !slices.Contains(owners, string(o)) {
				owners = append(owners, string(o))
			}
		case diagnose.Docker:
			publishes = publishes || slices.ContainsFunc(r.Statements, func(s ruleset.Statement) bool {
				n, ok := s.(*ruleset.NAT)
				return ok && n.Kind == ruleset.DNAT
			})
		}
	})
	slices.Sort(owners)
	var out []Finding
	if len(owners) > 1 {
		out = append(out, Finding{Code: ManagersAtOdds, Severity: Medium,
			Message: fmt.Sprintf("%s each manage this firewall: what one accepts the other may drop", strings.Join(owners, " and "))})
	}
	if publishes && slices.Contains(owners, string(diagnose.UFW)) {
		out = append(out, Finding{Code: ManagersAtOdds, Severity: Medium,
			Message: "ports that Docker publishes are translated and forwarded before ufw's rules for input are asked: ufw does not close them (DOCKER-USER can)"})
	}
	return out
}
