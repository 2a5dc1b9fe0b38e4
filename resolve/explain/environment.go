package explain

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Live answers for a network namespace of this machine: what rules ask of routes
// and interfaces, and what a diagnosis asks.
type Live struct {
	*machine.Machine
	host *machine.Routes
}

var (
	_ replay.Router    = (*Live)(nil)
	_ replay.Addresses = (*Live)(nil)
	_ replay.Tracker   = (*Live)(nil)
)

// NewLive answers as long as the handle is open. Close it.
func NewLive(ns *netns.Handle) (*Live, error) {
	host, err := machine.OpenRoutes(ns)
	if err != nil {
		return nil, err
	}
	return &Live{machine.New(ns), host}, nil
}

// Close lets the namespace go.
func (l *Live) Close() { l.host.Close() }

// FIB implements replay.Environment.
func (l *Live) FIB(p *replay.Packet, key uint8, result ruleset.FIBResult) ([]byte, replay.Presence) {
	return l.host.FIB(p, key, result)
}

// Link implements replay.Environment.
func (l *Live) Link(i replay.Interface, f ruleset.Field) ([]byte, replay.Presence) {
	return l.host.Link(i, f)
}

// Address implements replay.Addresses.
func (l *Live) Address(i replay.Interface, family string) ([]byte, replay.Presence) {
	return l.host.Address(i, family)
}

// Tracks implements replay.Tracker: where conntrack has no entry, nobody uses it.
func (l *Live) Tracks() (in, ok bool) {
	count, ok := l.Sysctl("net/netfilter/nf_conntrack_count")
	return count != "0" && ok, true
}

// Route implements replay.Router.
func (l *Live) Route(p *replay.Packet) replay.Route { return l.host.Route(p) }

// Reason is the kernel's drop reason for which a packet dies where routing
// refuses it, by the words of package route; empty where no cause is known for it.
func Reason(refused string, arrived bool) string {
	switch {
	case strings.HasPrefix(refused, machine.ReversePath):
		return "IP_RPFILTER"
	case strings.HasPrefix(refused, machine.OwnSource):
		return "IP_LOCAL_SOURCE"
	case strings.HasPrefix(refused, machine.Loopback):
		return "IP_LOCALNET"
	case strings.HasPrefix(refused, machine.MartianSource):
		return "IP_INVALID_SOURCE"
	case strings.HasPrefix(refused, machine.MartianDestination):
		return "IP_INVALID_DEST"
	case strings.HasPrefix(refused, machine.NotJoined):
		return ""
	case refused == replay.TimeToLive:
		return "IP_INHDR"
	case !arrived:
		return "IP_OUTNOROUTES"
	}
	return "IP_INNOROUTES"
}

// Saved answers for rules from files, whose machine is not there: a packet that
// comes in is for the host unless it is said where it leaves.
type Saved struct{ Out replay.Interface }

var _ replay.Router = Saved{}

// FIB knows nothing.
func (Saved) FIB(*replay.Packet, uint8, ruleset.FIBResult) ([]byte, replay.Presence) {
	return nil, replay.NotKnown
}

// Link knows nothing.
func (Saved) Link(replay.Interface, ruleset.Field) ([]byte, replay.Presence) {
	return nil, replay.NotKnown
}

// Route goes by what the question says.
func (s Saved) Route(p *replay.Packet) replay.Route {
	if s.Out.Name != "" {
		return replay.Route{Type: unix.RTN_UNICAST, Out: s.Out}
	}
	if p.In.Name != "" {
		return replay.Route{Type: unix.RTN_LOCAL}
	}
	return replay.Route{}
}
