package diagnose

import (
	"fmt"
	"regexp"

	"github.com/droptrace/droptrace/resolve/drop"
)

// withoutEndpoints matches the comments of kube-proxy's rules for a Service that
// nothing serves (pkg/proxy/iptables/proxier.go). A Service's port has a name or none.
var withoutEndpoints = regexp.MustCompile(`^([a-z0-9-]+)/([a-z0-9.-]+)(:[a-z0-9-]*)? has no (local )?endpoints$`)

// noEndpoints reports kube-proxy's drops for a Service without endpoints.
func (d *diagnosis) noEndpoints() []drop.Why {
	by := d.dropper()
	for _, r := range []string{d.comment(), by.comment()} {
		m := withoutEndpoints.FindStringSubmatch(r)
		if m == nil {
			continue
		}
		name, port := m[1]+"/"+m[2], m[3]
		if len(port) > 1 {
			name += " port " + port[1:]
		}
		w := drop.Why{Code: drop.WhyNoEndpoints, Message: fmt.Sprintf(
			"the Service %s has no endpoints: no pod that its selector matches is ready", name)}
		if m[4] != "" {
			w.Message = fmt.Sprintf(
				"the Service %s has no endpoints on this node, and its externalTrafficPolicy or internalTrafficPolicy is Local: no ready pod of it runs here", name)
		}
		w.Message += fmt.Sprintf(" (kubectl -n %s get endpointslices -l kubernetes.io/service-name=%s)", m[1], m[2])
		return []drop.Why{w}
	}
	t := d.c.Place.Chain.Table
	if by.lookup == nil || by.lookup.Set == nil || by.lookup.Set.Name != "no-endpoint-services" || tableOwner(t) != Kubernetes {
		return nil
	}
	return []drop.Why{{Code: drop.WhyNoEndpoints, Message: fmt.Sprintf(
		"the Service at %s (%s) has no endpoints that may be used from here: no pod that its selector matches is ready, or with the traffic policy Local none on this node",
		d.f.Destination, d.f.service())}}
}

func (d *diagnosis) comment() string {
	if r := d.c.Place.Rule; r != nil {
		return r.Comment
	}
	return ""
}

func (d *dropper) comment() string {
	if d.rule != nil {
		return d.rule.Comment
	}
	return ""
}
