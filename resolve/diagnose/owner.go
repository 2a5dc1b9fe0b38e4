package diagnose

import (
	"regexp"
	"slices"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Owner is the program that manages a rule. "" is a rule made by hand, or by a
// program that leaves no mark.
type Owner string

// Programs that are recognised.
const (
	Firewalld  Owner = "firewalld"
	UFW        Owner = "ufw"
	Docker     Owner = "Docker"
	Kubernetes Owner = "Kubernetes"
	Calico     Owner = "Calico"
	Cilium     Owner = "Cilium"
	Flannel    Owner = "Flannel"
	Fail2ban   Owner = "fail2ban"
	CrowdSec   Owner = "CrowdSec"
	Libvirt    Owner = "libvirt"
	Podman     Owner = "Podman"
	CSF        Owner = "CSF"
	Shorewall  Owner = "Shorewall"
	Tailscale  Owner = "Tailscale"
	OpenWrt    Owner = "OpenWrt"
	NixOS      Owner = "NixOS"
	LXD        Owner = "LXD"
	Incus      Owner = "Incus"
)

// chainOwner knows how programs name their chains. DOCKER-USER is not here: its
// rules are made by hand, as Docker's documentation asks people to.
func chainOwner(name string) Owner {
	for _, m := range []struct {
		prefix string
		owner  Owner
	}{
		{"ufw-", UFW}, {"ufw6-", UFW},
		{"f2b-", Fail2ban}, {"fail2ban-", Fail2ban},
		{"KUBE-", Kubernetes}, {"CNI-", Kubernetes},
		{"cali-", Calico}, {"CILIUM_", Cilium}, {"FLANNEL-", Flannel},
		{"LIBVIRT_", Libvirt},
		{"NETAVARK", Podman},
		{"CROWDSEC", CrowdSec}, {"crowdsec", CrowdSec},
		{"ts-input", Tailscale}, {"ts-forward", Tailscale},
		{"LOCALINPUT", CSF}, {"LOCALOUTPUT", CSF}, {"LOGDROPIN", CSF}, {"LOGDROPOUT", CSF},
		{"DENYIN", CSF}, {"DENYOUT", CSF}, {"ALLOWIN", CSF}, {"ALLOWOUT", CSF},
		{"nixos-fw", NixOS},
		{"net2fw", Shorewall}, {"net-fw", Shorewall}, {"loc-fw", Shorewall},
	} {
		if strings.HasPrefix(name, m.prefix) {
			return m.owner
		}
	}
	switch {
	case name == "DOCKER-USER":
		return ""
	case name == "DOCKER" || strings.HasPrefix(name, "DOCKER-"):
		return Docker
	}
	return ""
}

// firewalldChain matches the chains of firewalld's iptables backend: IN_public,
// IN_public_allow, FWDI_public, INPUT_ZONES.
var firewalldChain = regexp.MustCompile(`^((IN|FWD|FWDI|FWDO|POST|PRE|OUT)_.+` +
	`|(INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING)_(direct|(IN_|OUT_)?ZONES|POLICIES_(pre|post)))$`)

// firewalldTable reports whether firewalld's iptables backend filled the table:
// names such as IN_lan are given by hand, too.
func firewalldTable(t *ruleset.Table) bool {
	return slices.ContainsFunc(t.Chains, func(c *ruleset.Chain) bool {
		switch c.Name {
		case "INPUT_ZONES", "INPUT_direct", "PREROUTING_ZONES", "FORWARD_IN_ZONES":
			return true
		}
		return false
	})
}

// tableOwner knows tables that belong to one program as a whole.
func tableOwner(t *ruleset.Table) Owner {
	if t.Engine != ruleset.NFTables {
		return ""
	}
	name := t.Name
	switch {
	case name == "firewalld" || strings.HasPrefix(name, "firewalld_"):
		return Firewalld
	case name == "f2b-table" || strings.HasPrefix(name, "f2b-"):
		return Fail2ban
	case strings.HasPrefix(name, "crowdsec"):
		return CrowdSec
	case name == "docker-bridges":
		return Docker
	case strings.HasPrefix(name, "kube-proxy"):
		return Kubernetes
	case name == "calico":
		return Calico
	case name == "netavark":
		return Podman
	case name == "libvirt_network":
		return Libvirt
	case name == "shorewall":
		return Shorewall
	case name == "fw4" && t.Family == "inet":
		return OpenWrt
	case name == "nixos-fw":
		return NixOS
	case name == "lxd":
		return LXD
	case name == "incus":
		return Incus
	}
	return ""
}

// ownerOf tells whose rule, or whose base chain's policy, it is.
func ownerOf(chain *ruleset.Chain, rule *ruleset.Rule) Owner {
	if o := tableOwner(chain.Table); o != "" {
		return o
	}
	if o := chainOwner(chain.Name); o != "" {
		return o
	}
	if firewalldTable(chain.Table) && (rule == nil || firewalldChain.MatchString(chain.Name) || chain.IsBase()) {
		return Firewalld
	}
	if rule == nil {
		return policyOwner(chain)
	}
	switch {
	case strings.HasPrefix(rule.Comment, "cali:"):
		return Calico
	case strings.HasPrefix(rule.Comment, "kubernetes "), strings.HasPrefix(rule.Comment, "kube-"):
		return Kubernetes
	}
	return ""
}

// policyOwner: a policy is told to be a program's only where the program sets it
// and leaves its chains in that very base chain.
func policyOwner(base *ruleset.Chain) Owner {
	for _, r := range base.Rules {
		for _, t := range targets(r) {
			switch o := chainOwner(t.Name); {
			case o == UFW, o == NixOS:
				return o
			case o == Docker && base.Hook == "forward":
				return Docker
			}
		}
	}
	return ""
}

// targets are the chains that a rule can jump or go to.
func targets(r *ruleset.Rule) []*ruleset.Chain {
	var out []*ruleset.Chain
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *ruleset.Verdict:
			if s.Target != nil {
				out = append(out, s.Target)
			}
		case *ruleset.VerdictMap:
			if s.Set == nil {
				continue
			}
			for i := range s.Set.Elements {
				if v := s.Set.Elements[i].Verdict; v != nil && v.Target != nil {
					out = append(out, v.Target)
				}
			}
		}
	}
	return out
}
