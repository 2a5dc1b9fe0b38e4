package diagnose

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// dockerBridge matches the bridges that Docker names itself: that of its first network,
// and those called by the beginning of a network's ID.
var dockerBridge = regexp.MustCompile(`^(?:docker0|br-([0-9a-f]{12}))$`)

// The chains by which Docker keeps networks apart, up to 28. Up to 27 the first one has
// the rules of internal networks as well.
const (
	isolationFirst  = "DOCKER-ISOLATION-STAGE-1"
	isolationSecond = "DOCKER-ISOLATION-STAGE-2"
)

// docker reports the rules by which Docker keeps its networks apart, and containers
// from who comes to them without a published port. What they are is told by Docker's
// chains, by the comments of its nftables backend (29), or by the shape of its rules in
// raw (28).
func (d *diagnosis) docker() []drop.Why {
	r := d.c.Place.Rule
	if r == nil || !d.f.ip() || !d.dockerHere() {
		return nil
	}
	name := d.c.Place.Chain.Name
	owned := tableOwner(d.c.Place.Chain.Table) == Docker
	switch {
	case name == isolationFirst && internalBridge(r) != "":
		return internalNetwork(internalBridge(r))
	case name == isolationSecond, name == isolationFirst && onlyInterfaces(r), d.betweenNetworks() && (owned || name == "DOCKER" || d.rawOfDocker(r)):
		return d.apart()
	case owned && r.Comment == "ICC":
		return meant("Docker's network of %s keeps its containers from each other (com.docker.network.bridge.enable_icc is false)", d.f.out)
	case name == "DOCKER-INTERNAL", owned && strings.HasPrefix(r.Comment, "INTERNAL NETWORK"):
		return internalNetwork(d.internal())
	case d.c.Hook.Name == "prerouting" && d.f.Destination.IsLoopback() && d.publishable() && d.rawOfDocker(r):
		return []drop.Why{{Code: drop.WhyDockerUnpublished, Message: fmt.Sprintf(
			"Docker publishes %s at %s, for this host alone, and it came in by %s: publish it at an address of the host's that is reached from there (-p ADDRESS:PORT:PORT)",
			d.f.service(), d.f.Destination, d.f.in)}}
	case owned && r.Comment == "UNPUBLISHED PORT DROP", name == "DOCKER" && d.dropsNetwork(r):
		return d.unpublished(fmt.Sprintf("Docker lets only published ports from outside to the containers behind %s, and %s of %s is not one",
			d.f.out, d.f.service(), d.f.Destination))
	case owned && r.Comment == "DROP DIRECT ACCESS", d.rawOfDocker(r):
		return d.unpublished(fmt.Sprintf("Docker drops direct access by %s to the container's own address %s", d.f.in, d.f.Destination))
	}
	return nil
}

// dockerHere reports whether Docker has chains in the namespace.
func (d *diagnosis) dockerHere() bool {
	for _, rs := range d.c.Rulesets {
		for _, t := range rs.Tables {
			if tableOwner(t) == Docker || chainNamed(t, "DOCKER") != nil || chainNamed(t, "DOCKER-USER") != nil {
				return true
			}
		}
	}
	return false
}

// betweenNetworks reports whether it goes from one of Docker's bridges to another one.
func (d *diagnosis) betweenNetworks() bool {
	if !dockerBridge.MatchString(d.f.in) {
		return false
	}
	return dockerBridge.MatchString(d.target()) && d.target() != d.f.in
}

// target is the interface that the packet leaves by or, before routing, the one that
// leads to its destination.
func (d *diagnosis) target() string {
	if d.f.out != "" || d.c.Machine == nil {
		return d.f.out
	}
	r, _ := d.c.Machine.RouteTo(d.f.Destination)
	return r.Device
}

// apart: the sender has to be in the network as well.
func (d *diagnosis) apart() []drop.Why {
	to := d.target()
	w := drop.Why{Code: drop.WhyDockerIsolation, Message: fmt.Sprintf(
		"Docker keeps its networks apart: it goes from the network of %s to that of %s", orNone(d.f.in), orNone(to))}
	if m := dockerBridge.FindStringSubmatch(to); m != nil {
		network := "bridge"
		if m[1] != "" {
			network = m[1] // an ID may be cut short
		}
		w.Message += "; connect the CONTAINER that sends it to that network as well, or publish the port"
		w.Fix = d.shell("docker", "network", "connect", network, "CONTAINER")
	}
	return []drop.Why{w}
}

// publishable reports whether a container's port of this protocol can be published.
func (d *diagnosis) publishable() bool {
	switch d.f.Protocol {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP:
		return true
	}
	return false
}

func (d *diagnosis) unpublished(what string) []drop.Why {
	publish := ""
	if d.publishable() {
		publish = fmt.Sprintf("publish %s when the container is made (docker run -p) and go to the host's address, or ", d.f.service())
	}
	return []drop.Why{{Code: drop.WhyDockerUnpublished, Message: what + ": " + publish + "give its network " +
		"com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected or routed (IPv6: gateway_mode_ipv6), or the daemon allow-direct-routing (28.2 and later)"}}
}

func internalNetwork(bridge string) []drop.Why {
	return meant("the Docker network of %s is internal (docker network create --internal): nothing passes between it and others", bridge)
}

// internalBridge is the bridge of an internal network whose rule this is, up to Docker
// 27: ! -d SUBNET -i BRIDGE, ! -s SUBNET -o BRIDGE. "" for another rule.
func internalBridge(r *ruleset.Rule) string {
	s := shapeOf(r)
	if !s.is(ruleset.Drop) || len(s.conditions) != 2 || len(s.matches) != 2 {
		return ""
	}
	subnet, bridge := s.has(ruleset.IPDestination, ruleset.IP6Destination), s.has(ruleset.InName)
	if subnet == nil {
		subnet, bridge = s.has(ruleset.IPSource, ruleset.IP6Source), s.has(ruleset.OutName)
	}
	if subnet == nil || !subnet.Negate || bridge == nil || bridge.Negate {
		return ""
	}
	return matchText(bridge)
}

func onlyInterfaces(r *ruleset.Rule) bool {
	s := shapeOf(r)
	for _, c := range s.conditions {
		if m := single(c); m == nil || !looksAt(m, ruleset.InName, ruleset.OutName) {
			return false
		}
	}
	return true
}

func (d *diagnosis) internal() string {
	if dockerBridge.MatchString(d.f.out) || d.f.in == "" {
		return orNone(d.f.out)
	}
	return d.f.in
}

// dropsNetwork reports whether a rule of chain DOCKER drops all that comes to a bridge
// from others (28): ! -i BRIDGE -o BRIDGE.
func (d *diagnosis) dropsNetwork(r *ruleset.Rule) bool {
	s := shapeOf(r)
	in, out := s.has(ruleset.InName), s.has(ruleset.OutName)
	return s.is(ruleset.Drop) && len(s.conditions) == 2 && in != nil && in.Negate && out != nil && !out.Negate
}

// rawOfDocker reports whether a rule of table raw is as Docker writes it (28): for one
// address, from anywhere but the bridge that the container is behind or, for a port
// published at a loopback address, but lo.
func (d *diagnosis) rawOfDocker(r *ruleset.Rule) bool {
	t := r.Chain.Table
	if t.Name != "raw" && tableOwner(t) != Docker || d.c.Hook.Name != "prerouting" {
		return false
	}
	s := shapeOf(r)
	to, in := s.has(ruleset.IPDestination, ruleset.IP6Destination), s.has(ruleset.InName)
	if !s.is(ruleset.Drop) || to == nil || to.Negate || !oneHost(to) || in == nil || !in.Negate || s.has(ruleset.IPSource, ruleset.IP6Source) != nil {
		return false
	}
	only := *in
	only.Negate = false
	bridge := matchText(&only)
	return d.f.Destination.IsLoopback() || dockerBridge.MatchString(bridge) && bridge == d.target()
}
