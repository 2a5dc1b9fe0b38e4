package diagnose

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// survive says what becomes of a fix where a program writes the rules, and gives that
// program's own way where no command by hand would last.
func (d *diagnosis) survive(whys []drop.Why) []drop.Why {
	if len(whys) == 0 || d.c.Place.Base == nil || whys[0].Code == drop.WhyMeantDrop {
		return whys
	}
	w := &whys[0]
	owner := ownerOf(d.c.Place.Chain, d.c.Place.Rule)
	if w.Fix != "" {
		w.Message += lost(owner, d.c.Place.Base, w.Fix)
		return whys
	}
	switch w.Code {
	case drop.WhyPolicyDrop, drop.WhyForwardDropped, drop.WhyListeningNotAllowed, drop.WhySourceTooNarrow, drop.WhyInterfaceMismatch, drop.WhyDestinationTooNarrow:
	default:
		return whys
	}
	s, ok := specOf(&d.f, d.c.Hook.Name)
	if !ok {
		return whys
	}
	switch owner {
	case OpenWrt:
		w.Fix = d.uci(&s)
	case NixOS:
		if option := nixOption(&s); option != "" && d.c.Hook.Name == "input" {
			w.Message += "; NixOS writes these rules from its configuration, where " + option + " allows it from everywhere"
			return whys
		}
	}
	if way := ownWay(owner); way != "" && w.Fix == "" {
		w.Message += fmt.Sprintf("; %s writes these rules again, and a change by hand is lost: %s", owner, way)
	}
	return whys
}

// lost ends a sentence for a fix that does not last.
func lost(owner Owner, base *ruleset.Chain, fix string) string {
	switch {
	case owner == Firewalld && strings.Contains(fix, "firewall-cmd ") && !strings.Contains(fix, "--permanent"):
		return "; the fix lasts until firewalld's next reload (firewall-cmd --runtime-to-permanent keeps it)"
	case tableOwner(base.Table) != "" && owner != Firewalld:
		return fmt.Sprintf("; %s writes this table again, and the fix is lost then", tableOwner(base.Table))
	}
	return ""
}

// ownWay is where a program's rules come from.
func ownWay(o Owner) string {
	switch o {
	case OpenWrt:
		return "use uci, or /etc/config/firewall"
	case NixOS:
		return "use networking.firewall in the configuration and nixos-rebuild"
	case LXD:
		return "use lxc network acl, or the network's ipv4.firewall and ipv6.firewall"
	case Incus:
		return "use incus network acl, or the network's ipv4.firewall and ipv6.firewall"
	case Kubernetes:
		return "look at the Service and NetworkPolicy that it is for"
	case Calico:
		return "look at the NetworkPolicy or GlobalNetworkPolicy that it is for"
	case Cilium:
		return "look at the CiliumNetworkPolicy that it is for"
	case CSF:
		return "use csf -a, or TCP_IN and UDP_IN in /etc/csf/csf.conf"
	case Shorewall:
		return "use /etc/shorewall/rules"
	case Podman:
		return "use podman network and its options"
	case Libvirt:
		return "use virsh net-edit, or a hook script"
	}
	return ""
}

// nixOption is the option that opens a port.
func nixOption(s *spec) string {
	if s.dport == 0 {
		return ""
	}
	switch s.proto.String() {
	case "tcp":
		return fmt.Sprintf("networking.firewall.allowedTCPPorts = [ %d ];", s.dport)
	case "udp":
		return fmt.Sprintf("networking.firewall.allowedUDPPorts = [ %d ];", s.dport)
	}
	return ""
}

// uci are the commands for a rule of OpenWrt's. A star is every zone.
func (d *diagnosis) uci(s *spec) string {
	set := [][2]string{{"target", "ACCEPT"}, {"proto", s.proto.String()}, {"family", map[string]string{"ip": "ipv4", "ip6": "ipv6"}[s.family]}}
	switch d.c.Hook.Name {
	case "input":
		set = append(set, [2]string{"src", "*"})
	case "forward":
		set = append(set, [2]string{"src", "*"}, [2]string{"dest", "*"})
	case "output":
		set = append(set, [2]string{"dest", "*"})
	default:
		return ""
	}
	if s.hasICMPType || s.established {
		return ""
	}
	if source := s.source(); source != "" {
		set = append(set, [2]string{"src_ip", source})
	}
	if s.dst.IsValid() {
		set = append(set, [2]string{"dest_ip", s.dst.String()})
	}
	if s.dport != 0 {
		set = append(set, [2]string{"dest_port", strconv.Itoa(int(s.dport))})
	}
	commands := []string{shell("uci", "add", "firewall", "rule")}
	for _, option := range set {
		commands = append(commands, shell("uci", "set", "firewall.@rule[-1]."+option[0]+"="+option[1]))
	}
	commands = append(commands, shell("uci", "commit", "firewall"), shell("fw4", "reload"))
	return strings.Join(d.c.Namespace.all(commands), " && ")
}
