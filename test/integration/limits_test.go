package integration

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// manyElements is enough for a set that was held whole to take more than
// memoryLimit: a quarter of what a container may as well make, so that guests without
// hardware virtualization keep up.
const (
	manyElements = 300_000
	memoryLimit  = 128 << 10 // KiB, of droptrace in all
)

// elements writes one address after another; the client's is among them.
func elements(b *strings.Builder, before, after string) {
	fmt.Fprintf(b, "%s%s%s", before, clientIP, after)
	for i := range manyElements {
		fmt.Fprintf(b, "%s10.%d.%d.%d%s", before, i>>16, i>>8&0xff, i&0xff, after)
	}
}

// A set of another namespace that is too large to be held is asked: the cause is
// told, and memory stays within bounds.
func TestMembershipOfALargeIPSetIsAsked(t *testing.T) {
	nstest.NotInGuests(t, "slow")
	l := newLab(t)
	var b strings.Builder
	b.WriteString("create friends hash:ip maxelem 2000000 hashsize 65536\n")
	elements(&b, "add friends ", "\n")
	command(t, b.String(), "ip", "netns", "exec", l.host, "ipset", "restore")
	s := ruleset{"iptables-nft", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp -m udp --dport 4080 -m set --match-set friends src -j DROP\nCOMMIT\n"}
	s.load(t, l.host)
	largeSetIsTold(t, l, 4080, "it is in the set friends, whose members INPUT rule 1 drops: "+clientIP)
}

func TestMembershipOfALargeNFTSetIsAsked(t *testing.T) {
	nstest.NotInGuests(t, "slow")
	l := newLab(t)
	var b strings.Builder
	b.WriteString("table ip t {\n set friends { type ipv4_addr; elements = {")
	elements(&b, "", ", ")
	b.WriteString("}\n }\n chain in { type filter hook input priority 0\n udp dport 4081 ip saddr @friends counter drop\n }\n}\n")
	command(t, b.String(), "ip", "netns", "exec", l.host, "nft", "-f", "-")
	largeSetIsTold(t, l, 4081, "it is in the set friends, whose members in rule 1")
}

func largeSetIsTold(t *testing.T, l *lab, port uint16, message string) {
	t.Helper()
	trace := start(t, []*lab{l}, "--netfilter")
	l.ready(t)
	if trace.mayNotKnow() {
		t.Log("the rule is not known on this kernel with this plan: only memory is looked at")
	}
	sent := 0
	eventually(t, "the cause is told", func() bool {
		packet{port: port}.send(t, l)
		sent++
		told := to(of(trace.told(t), l.host), port)
		return trace.mayNotKnow() && sent > 20 || len(told) > 0 && len(told[len(told)-1].Why) > 0
	})
	if peak := peakMemory(t, trace.cmd.Process.Pid); peak > memoryLimit {
		t.Errorf("droptrace took %d MiB", peak>>10)
	}
	for _, d := range to(of(trace.stop(t), l.host), port) {
		for _, w := range d.Why {
			if w.Code != "set-member" || !strings.HasPrefix(w.Message, message) {
				t.Errorf("%+v", w)
			}
		}
	}
}

// peakMemory is the most that a process has had in memory, in KiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// slowRules are read in a time that grows with their number's square, as one chain.
func slowRules(rules int, port uint16) string {
	var b strings.Builder
	b.WriteString("table ip t {\n chain in { type filter hook input priority 0\n")
	for i := range rules {
		fmt.Fprintf(&b, "ip saddr 10.%d.%d.%d udp dport %d drop\n", i>>16, i>>8&0xff, i&0xff, port)
	}
	fmt.Fprintf(&b, "udp dport %d counter drop\n }\n}\n", port)
	return b.String()
}

const slow = 40_000

// A namespace whose rules take long keeps no drop of another waiting, and none of its
// own when droptrace is told to end: that drop has what the kernel told.
func TestSlowNamespaceDelaysNobody(t *testing.T) {
	nstest.NotInGuests(t, "slow")
	slowLab, quick := newLab(t), newLab(t)
	command(t, slowRules(slow, 4082), "ip", "netns", "exec", slowLab.host, "nft", "-f", "-")
	command(t, slowRules(1, 4083), "ip", "netns", "exec", quick.host, "nft", "-f", "-")
	slowLab.ready(t)
	quick.ready(t)
	trace := start(t, []*lab{slowLab, quick}, "--netfilter")
	packet{port: 4082}.send(t, slowLab)
	packet{port: 4083}.send(t, quick)
	eventually(t, "the other namespace's drop is told", func() bool { return len(of(trace.told(t), quick.host)) > 0 })
	if late := of(trace.told(t), slowLab.host); len(late) > 0 {
		t.Errorf("the drop of the slow namespace came first:\n%s", show(late))
	}
	trace.end(t) // and not stop, which waits for the slow one, too
	drops := trace.told(t)
	if trace.mayNotKnow() {
		return
	}
	told := of(drops, slowLab.host)
	if len(told) != 1 || told[0].Rule == nil {
		t.Fatalf("the drop that waited:\n%s", show(told))
	}
	if r := told[0].Rule; r.Handle == 0 || r.Chain != "in" || r.Text != "" || !strings.Contains(r.TextMissing, "read") {
		t.Errorf("%s", show(told))
	}
	for _, d := range of(drops, quick.host) {
		if d.Rule == nil || d.Rule.Number != 2 || d.Rule.Text == "" || d.Attribution.Certainty != drop.Certain {
			t.Errorf("%s", show([]drop.Drop{d}))
		}
	}
}
