package xtables

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// line is a rule or policy as `iptables -L -n -v -x --line-numbers` shows it.
type line struct {
	chain          string
	number         int // 0 for a policy
	packets, bytes uint64
	target         string
}

// truth asks iptables for a table's lines.
func (n testNamespace) truth(t *testing.T, id TableID) []line {
	t.Helper()
	var lines []line
	chain := ""
	out := n.Run(t, "", legacyProgram(id.Family, ""), "-t", id.Name, "-L", "-n", "-v", "-x", "--line-numbers")
	for text := range strings.Lines(out) {
		f := strings.Fields(text)
		switch {
		case len(f) == 0, f[0] == "num":
		case f[0] == "Chain":
			chain = f[1]
			if f[2] == "(policy" { // Chain INPUT (policy DROP 2 packets, 60 bytes)
				lines = append(lines, line{chain: chain, target: f[3], packets: number(t, f[4]), bytes: number(t, f[6])})
			}
		default: // num pkts bytes target prot ..., where target may be blank
			l := line{chain: chain, number: int(number(t, f[0])), packets: number(t, f[1]), bytes: number(t, f[2])}
			if f[4] != "--" && f[4] != "*" { // prot is numeric or a name, opt is --
				l.target = f[3]
			}
			lines = append(lines, l)
		}
	}
	return lines
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lines lists a blob as truth lists its table: each chain's policy, then rules.
func lines(b *Blob) []line {
	byChain := make(map[*ruleset.Chain][]line)
	for i := range b.Entries {
		e := &b.Entries[i]
		l := line{packets: e.Packets, bytes: e.Bytes, target: targetName(b, e)}
		switch {
		case e.Policy:
			l.chain = e.Chain.Name
			byChain[e.Chain] = append([]line{l}, byChain[e.Chain]...)
		case e.Rule != nil:
			l.chain, l.number = e.Rule.Chain.Name, e.Rule.Number
			byChain[e.Chain] = append(byChain[e.Chain], l)
		}
	}
	var all []line
	for _, c := range b.Table.Chains {
		all = append(all, byChain[c]...)
	}
	return all
}

// targetName is what iptables prints.
func targetName(b *Blob, e *Entry) string {
	switch {
	case !e.Standard:
		return e.Target
	case uint32(e.Verdict) == e.end():
		return ""
	case e.Verdict >= 0:
		if to, ok := b.At(uint32(e.Verdict)); ok {
			return to.Chain.Name
		}
		return "?"
	}
	return map[int32]string{
		verdictAccept: "ACCEPT", verdictDrop: "DROP", verdictQueue: "QUEUE", verdictReturn: "RETURN",
	}[e.Verdict]
}

// kernelHooks is what the kernel itself found when it looked for loops: it
// leaves it in comefrom.
func kernelHooks(b *Blob, raw []byte, e *Entry) uint8 {
	return raw[int(e.Offset)+b.layout.comefrom] & (1<<hookCount - 1)
}

// check compares a table with what iptables and the kernel say of it.
func (n testNamespace) check(t *testing.T, id TableID) *Blob {
	t.Helper()
	want := n.truth(t, id)
	b := n.read(t, id.Family, id.Name)
	got := lines(b)
	if len(got) != len(want) {
		t.Fatalf("%v: %d rules and policies, iptables has %d\n%v\n%v", id, len(got), len(want), got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%v: got %+v, iptables has %+v", id, got[i], want[i])
		}
	}
	_, raw := n.rawTable(t, id)
	for i := range b.Entries {
		e := &b.Entries[i]
		kernel := kernelHooks(b, raw, e)
		if e.Policy {
			kernel |= 1 << hookNumber(e.Chain) // a RETURN leads there
		}
		if e.Hooks != kernel {
			t.Errorf("%v: entry at %d is reached from %05b, the kernel has %05b", id, e.Offset, e.Hooks, kernel)
		}
	}
	return b
}

func TestEveryTableIsAsIptablesListsIt(t *testing.T) {
	for _, family := range []string{"ip", "ip6"} {
		t.Run(family, func(t *testing.T) {
			n := newNamespace(t)
			for _, rules := range everyTable() {
				n.load(t, family, strings.ReplaceAll(rules, "@unreachable", answers(family)))
			}
			address := map[string]string{"ip": "127.0.0.1", "ip6": "::1"}[family]
			n.send(t, address, 7001, 7002, 7002, 7003, 7004, 7005, 7005, 7005, 7006, 7007, 7008, 9)
			moved := make(map[string]bool)
			for table := range everyTable() {
				for _, e := range n.check(t, TableID{family, table}).Entries {
					if !e.Drops() || e.Hooks == 0 {
						continue // it drops nothing, or no packet reaches it
					}
					name := "policy"
					if e.Rule != nil {
						name = strconv.Itoa(e.Rule.Number)
					}
					moved[e.Chain.Table.Name+" "+e.Chain.Name+" "+name] = e.Packets > 0
				}
			}
			want := map[string]bool{
				"raw PREROUTING 1": true, "mangle FORWARD policy": false, "security OUTPUT policy": false,
				"filter INPUT 1": true, "filter INPUT 2": true, "filter INPUT policy": true,
				"filter inner 1": true, "filter shared 1": true,
				// The answer to REJECT belongs to no connection, all being untracked.
				"filter shared 3": true,
				// Not there because no packet reaches them: FORWARD 2, unused 1,
				// last 2.
			}
			if diff := cmp.Diff(want, moved); diff != "" {
				t.Errorf("drop entries that counted packets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRandomTablesAreAsIptablesListsThem(t *testing.T) {
	n := newNamespace(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 25 {
		n.load(t, "ip", randomRules(random))
		b := n.check(t, TableID{"ip", "filter"})
		n.checkTexts(t, b)
		if t.Failed() {
			t.Fatalf("seed %d\n%s", seed, n.Run(t, "", "iptables-legacy-save"))
		}
	}
}

// randomRules are chains that jump and go to later ones.
func randomRules(random *rand.Rand) string {
	var b strings.Builder
	chains := []string{"INPUT", "FORWARD", "OUTPUT"}
	policies := []string{"ACCEPT", "DROP"}
	b.WriteString("*filter\n")
	for _, c := range chains {
		fmt.Fprintf(&b, ":%s %s [0:0]\n", c, policies[random.IntN(2)])
	}
	for i := range random.IntN(12) {
		// Not in the alphabet's order, which iptables sorts them by.
		c := fmt.Sprintf("c%d-%d", random.IntN(100), i)
		chains = append(chains, c)
		fmt.Fprintf(&b, ":%s - [0:0]\n", c)
	}
	targets := []string{
		" -j ACCEPT", " -j DROP", " -j RETURN", " -j REJECT --reject-with icmp-port-unreachable",
		" -j LOG", "", " -j MARK --set-xmark 0x1/0xffffffff", " -j NFQUEUE --queue-num 1",
	}
	matches := []string{
		"", "", "", " -s 10.0.0.0/8", " ! -d 10.0.0.0/8", " -p tcp -m tcp --dport 80", " -p udp -m comment --comment \"a -A b\"",
		" -m conntrack --ctstate NEW,ESTABLISHED", " -m limit --limit 5/min",
	}
	for i, c := range chains {
		for range random.IntN(5) {
			target := targets[random.IntN(len(targets))]
			if later := max(i+1, 3); later < len(chains) && random.IntN(2) == 0 {
				target = []string{" -j ", " -g "}[random.IntN(2)] + chains[later+random.IntN(len(chains)-later)]
			}
			fmt.Fprintf(&b, "-A %s%s%s\n", c, matches[random.IntN(len(matches))], target)
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}
