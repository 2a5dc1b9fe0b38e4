package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// The two ends of the link that the floods go over. droptrace watches the receiver,
// where both are dropped: what comes in, in softirqs, and what is sent, by its task.
var (
	senderIP   = [4]byte{10, 9, 0, 1}
	receiverIP = [4]byte{10, 9, 0, 2}
)

// A path is one of the ways to be dropped.
type path struct {
	name  string
	chain string // iptables' name
	first int    // its first port
	sends bool   // the receiver is who sends
}

// Ports of a path from its first on, the last of them dropped by no rule but by the
// chain's policy.
const ports = 16

func paths() []path {
	return []path{{"in", "INPUT", 6000, false}, {"out", "OUTPUT", 7000, true}}
}

// pathOf is the path that packets for a port are dropped on; nil for another port.
func pathOf(port int) *path {
	for _, p := range paths() {
		if port >= p.first && port < p.first+ports {
			return &p
		}
	}
	return nil
}

func engineNames() []string { return []string{"nft", "iptables-nft", "iptables-legacy"} }

// lab is two namespaces with a link between them.
type lab struct{ sender, receiver string }

// newLab returns what was made of it with an error, too.
func newLab(ctx context.Context) (*lab, error) {
	id := fmt.Sprintf("%08x", rand.Uint32())
	l := &lab{"adversary-a-" + id, "adversary-b-" + id}
	script := `set -e
ip netns add $A
ip netns add $B
ip link add left netns $A address 02:00:00:00:00:0a type veth peer name right netns $B address 02:00:00:00:00:0b
ip -n $A address add 10.9.0.1/24 dev left
ip -n $B address add 10.9.0.2/24 dev right
for n in $A $B; do
	ip -n $n link set lo up
	ip netns exec $n sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 >/proc/sys/net/ipv4/icmp_ratelimit'
done
ip -n $A link set left up
ip -n $B link set right up
# Neighbours that are known need no packet that a policy drops.
ip -n $A neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:0b dev left
ip -n $B neighbour replace 10.9.0.1 lladdr 02:00:00:00:00:0a dev right`
	return l, l.sh(ctx, script, "")
}

func (l *lab) close() {
	_ = l.sh(context.Background(), `ip netns del $A; ip netns del $B`, "")
}

// sh runs a script, which knows the namespaces as $A and $B.
func (l *lab) sh(ctx context.Context, script, input string) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Env = append(os.Environ(), "A="+l.sender, "B="+l.receiver)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// load sets an engine's rules.
func (l *lab) load(ctx context.Context, engine string) error {
	if engine == "nft" {
		return l.sh(ctx, "ip netns exec $B nft -f -", nftRules())
	}
	return l.sh(ctx, "ip netns exec $B "+engine+"-restore", iptablesRules())
}

// unload takes an engine's rules away again.
func (l *lab) unload(ctx context.Context, engine string) error {
	script := "ip netns exec $B " + engine + "-restore"
	input := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
	switch engine {
	case "nft":
		script, input = "ip netns exec $B nft flush ruleset", ""
	case "iptables-nft":
		script += " && ip netns exec $B nft delete table ip filter"
	}
	return l.sh(ctx, script, input)
}

// nftRules has every kind of drop by a rule: in a base chain and in another, by a
// verdict map, by a reject.
func nftRules() string {
	var b strings.Builder
	b.WriteString("table ip t {\n")
	for _, p := range paths() {
		fmt.Fprintf(&b, "chain %s_more {\n", p.name)
		for i := 1; i < ports-1; i += 4 {
			fmt.Fprintf(&b, "udp dport %d drop\n", p.first+i)
		}
		fmt.Fprintf(&b, "}\nchain %s { type filter hook %sput priority 0; policy drop;\njump %s_more\n", p.name, p.name, p.name)
		for i := range ports - 1 {
			port := p.first + i
			switch i % 4 {
			case 0:
				fmt.Fprintf(&b, "udp dport %d drop\n", port)
			case 2:
				fmt.Fprintf(&b, "udp dport vmap { %d : drop }\n", port)
			case 3:
				fmt.Fprintf(&b, "udp dport %d reject\n", port)
			}
		}
		b.WriteString("}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func iptablesRules() string {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT DROP [0:0]\n")
	for _, p := range paths() {
		fmt.Fprintf(&b, ":%s_more - [0:0]\n", p.name)
	}
	for _, p := range paths() {
		fmt.Fprintf(&b, "-A %s -j %s_more\n", p.chain, p.name)
		for i := range ports - 1 {
			chain, target := p.chain, "DROP"
			switch i % 4 {
			case 1:
				chain = p.name + "_more"
			case 3:
				target = "REJECT"
			}
			fmt.Fprintf(&b, "-A %s -p udp -m udp --dport %d -j %s\n", chain, p.first+i, target)
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// enter locks the goroutine to its thread and takes that into a namespace, where it
// stays until it ends.
func enter(name string) error {
	runtime.LockOSThread()
	f, err := os.Open("/run/netns/" + name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", name, err)
	}
	return nil
}
