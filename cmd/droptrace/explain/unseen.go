package explain

import (
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/tracer/packet"
)

// unseen lists what is on an accepted packet's way and explain does not evaluate:
// XDP and tc programs, IPsec policies, BPF programs of cgroups, and sysctls by which
// the host does not answer.
func (s *subject) unseen(j *replay.Journey, p *replay.Packet) []string {
	if s.handle == nil || j.Verdict != replay.Accepted {
		return nil
	}
	names, local := passed(j)
	var out []string
	_ = s.handle.Do(func() error {
		hiding, _ := machine.Hiding(func(name string) bool { return names[name] })
		for _, h := range hiding {
			out = append(out, "not evaluated: "+h)
		}
		if n := ipsecPolicies(); n > 0 {
			out = append(out, fmt.Sprintf("not evaluated: IPsec policies (%d): one may require IPsec, or block (ip xfrm policy)", n))
		}
		return nil
	})
	if local {
		if n := cgroupPrograms(); n > 0 {
			out = append(out, fmt.Sprintf("not evaluated: BPF programs of cgroups (%d are loaded): one may refuse it at its socket (bpftool cgroup tree)", n))
		}
		out = append(out, s.unanswered(p)...)
	}
	return out
}

// passed are the interfaces of a way; local says that it begins or ends on this host.
func passed(j *replay.Journey) (names map[string]bool, local bool) {
	names = make(map[string]bool)
	for i := range j.Stages {
		g := &j.Stages[i]
		names[g.Packet.In.Name], names[g.Packet.Out.Name] = true, true
		local = local || g.Hook.Name == "input" || g.Hook.Name == "output"
	}
	return names, local
}

// ipsecPolicies counts them, only where the kernel has its netlink family loaded: to
// ask for it would load the module.
func ipsecPolicies() int {
	const protocol = "6" // NETLINK_XFRM
	b, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 2 && f[1] == protocol && f[2] == "0" { // the kernel's own end
			list, err := netlink.XfrmPolicyList(netlink.FAMILY_ALL)
			if err != nil {
				return 0
			}
			return len(list)
		}
	}
	return 0
}

// cgroupPrograms counts those that see packets; 0 where that may not be asked.
func cgroupPrograms() (n int) {
	id, err := ebpf.ProgramGetNextID(0)
	for ; err == nil; id, err = ebpf.ProgramGetNextID(id) {
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue
		}
		if p.Type() == ebpf.CGroupSKB {
			n++
		}
		p.Close()
	}
	return n
}

// unanswered tells sysctls by which this host does not answer an echo request.
func (s *subject) unanswered(p *replay.Packet) []string {
	var f packet.Packet
	packet.Parse(packet.EtherType(p.EtherType), p.Bytes, &f)
	if s.live == nil || !f.HasICMP || p.In.Name == "" {
		return nil
	}
	var names []string
	switch {
	case f.Protocol == packet.ProtoICMP && f.ICMP.Type == 8:
		names = []string{"net/ipv4/icmp_echo_ignore_all"}
		if f.Destination.IsMulticast() || p.PacketType == 1 {
			names = append(names, "net/ipv4/icmp_echo_ignore_broadcasts")
		}
	case f.Protocol == packet.ProtoICMPv6 && f.ICMP.Type == 128:
		names = []string{"net/ipv6/icmp/echo_ignore_all"}
		if f.Destination.IsMulticast() {
			names = append(names, "net/ipv6/icmp/echo_ignore_multicast")
		}
	}
	var out []string
	for _, name := range names {
		if v, ok := s.live.Sysctl(name); ok && v != "0" {
			out = append(out, fmt.Sprintf("it is not answered: %s is %s", strings.ReplaceAll(name, "/", "."), v))
		}
	}
	return out
}
