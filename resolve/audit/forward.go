package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

const (
	ForwardingOff Code = "ip-forward-off"
	BridgeCalls   Code = "bridge-calls-iptables"
)

// forwarding: something wants packets routed, and the kernel routes none.
func forwarding(rulesets []*ruleset.Ruleset, m *Machine) []Finding {
	var out []Finding
	for _, f := range []struct {
		family, sysctl string
		value          *int
	}{{"ip", "net.ipv4.ip_forward", m.Forwarding}, {"ip6", "net.ipv6.conf.all.forwarding", m.Forwarding6}} {
		if f.value == nil || *f.value != 0 || f.family == "ip" && m.SomeForward {
			continue
		}
		who := routes(rulesets, f.family)
		if who == nil && f.family == "ip" {
			if bridges := containerBridges(m.Interfaces); len(bridges) > 0 {
				out = append(out, forwardFinding(f.sysctl, "containers are attached to "+someOf(bridges), nil))
			}
			continue
		}
		if who != nil {
			out = append(out, forwardFinding(f.sysctl, fmt.Sprintf("%s %s translates addresses for others", who.Chain.FullName(), who.Place()), who))
		}
	}
	return out
}

func forwardFinding(sysctl, who string, r *ruleset.Rule) Finding {
	f := Finding{Code: ForwardingOff, Severity: High,
		Message: fmt.Sprintf("%s is 0, so that nothing is routed, but %s", sysctl, who),
		Fix:     "sysctl -w " + sysctl + "=1",
	}
	if r != nil {
		f.Rules, f.Chain = []*ruleset.Rule{r}, r.Chain
	}
	return f
}

// routes finds a rule that makes sense only where packets are routed: source
// NAT, or destination NAT to another machine. Rules at forward prove nothing:
// ufw and firewalld always have some.
func routes(rulesets []*ruleset.Ruleset, family string) *ruleset.Rule {
	for _, hook := range []string{"prerouting", "postrouting"} {
		for _, base := range chainsAt(rulesets, family, hook) {
			for _, c := range reachable(base) {
				for _, r := range c.Rules {
					for _, s := range r.Statements {
						n, ok := s.(*ruleset.NAT)
						if ok && (n.Kind == ruleset.DNAT && n.Known && n.From.IsValid() && !n.From.IsLoopback() ||
							hook == "postrouting" && (n.Kind == ruleset.Masquerade || n.Kind == ruleset.SNAT)) {
							return r
						}
					}
				}
			}
		}
	}
	return nil
}

// containerBridges are bridges of container and virtual machine programs that
// have a port that is up.
func containerBridges(list []Interface) []string {
	var out []string
	for _, b := range list {
		if b.Kind != "bridge" {
			continue
		}
		known := slices.ContainsFunc([]string{"docker", "br-", "cni", "virbr", "podman", "lxcbr", "lxdbr", "cbr"}, func(p string) bool {
			return strings.HasPrefix(b.Name, p)
		})
		if known && slices.ContainsFunc(list, func(i Interface) bool { return i.Master == b.Index && i.Up }) {
			out = append(out, b.Name)
		}
	}
	return out
}

// bridgeCalls: frames between the ports of a bridge meet iptables' FORWARD, which
// drops what nothing accepts.
func bridgeCalls(rulesets []*ruleset.Ruleset, m *Machine) []Finding {
	var out []Finding
	for _, f := range []struct {
		family, sysctl string
		value          *int
	}{{"ip", "net.bridge.bridge-nf-call-iptables", m.BridgeCalls}, {"ip6", "net.bridge.bridge-nf-call-ip6tables", m.BridgeCalls6}} {
		if f.value == nil || *f.value == 0 {
			continue
		}
		bridges := busyBridges(m.Interfaces)
		i := slices.IndexFunc(chainsAt(rulesets, f.family, "forward"), func(c *ruleset.Chain) bool { return c.Policy == "drop" })
		if len(bridges) == 0 || i < 0 {
			continue
		}
		c := chainsAt(rulesets, f.family, "forward")[i]
		out = append(out, Finding{Code: BridgeCalls, Severity: Low, Chain: c,
			Message: fmt.Sprintf("%s is %d: what goes from one port of %s to another meets %s, whose policy is drop",
				f.sysctl, *f.value, someOf(bridges), c.FullName()),
		})
	}
	return out
}

// busyBridges have two ports or more that are up.
func busyBridges(list []Interface) []string {
	var out []string
	for _, b := range list {
		ports := 0
		for _, i := range list {
			if b.Kind == "bridge" && i.Master == b.Index && i.Up {
				ports++
			}
		}
		if ports > 1 {
			out = append(out, b.Name)
		}
	}
	return out
}
