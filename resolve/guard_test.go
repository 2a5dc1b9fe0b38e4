package resolve

import (
	"context"
	"encoding/binary"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
	"github.com/droptrace/droptrace/test/nstest"
	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/ktime"
)

var filterTable = xtables.TableID{Family: "ip", Name: "filter"}

// watchAll watches every table, as the kernel side would.
type watchAll struct{}

func (watchAll) Watch(func(func() error) error, *xtables.Blob) (Watched, error) {
	return fakeWatch{new(int)}, nil
}

const guardRules = `
nft add table ip t
nft add chain ip t in '{ type filter hook input priority 0; policy drop; }'
nft add chain ip t out '{ type filter hook output priority 0; policy drop; }'
nft add rule ip t in udp dport 7001 drop
nft add rule ip t in udp dport 7002 drop
nft add rule ip t in udp dport '{ 7003, 7005 }' reject
`

const guardLegacy = `
iptables-legacy -A INPUT -p udp -m udp --dport 7001 -j DROP
iptables-legacy -A INPUT -p udp -m udp --dport 7002 -j DROP
iptables-legacy -A INPUT -p udp -m udp --dport 7003 -j REJECT
iptables-legacy -P INPUT DROP
iptables-legacy -A OUTPUT -p udp -m udp --dport 7001 -j DROP
iptables-legacy -A OUTPUT -p udp -m udp --dport 7002 -m limit --limit 1/second -j DROP
iptables-legacy -A OUTPUT -p udp -m udp --dport 7002 -j DROP
iptables-legacy -A OUTPUT -p udp -m udp --dport 7003 -m limit --limit 1/second -j RETURN
iptables-legacy -A OUTPUT -p udp -m udp --dport 7003 -j DROP
`

// guarded is a namespace with rules whose drops name what the test says.
type guarded struct {
	*Resolver
	n     *namespace
	inode uint32
	told  []string
}

func newGuarded(t testing.TB, rules string) *guarded {
	t.Helper()
	name := nstest.Name("dt-guard-")
	sh := func(command string) {
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	nstest.Named(t, name)
	for line := range strings.Lines(rules) {
		if line = strings.TrimSpace(line); line != "" {
			sh("ip netns exec " + name + " " + line)
		}
	}
	all, err := netns.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := symbol.Open()
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{}
	g.Resolver, err = New(Config{Symbols: symbols, Watcher: watchAll{}, NoWhy: true,
		Notify: func(m string) { g.told = append(g.told, m) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close(); symbols.Close() })
	for _, n := range all {
		if n.Name == name {
			g.inode, g.n = n.Inode, g.spaceAt(n)
		}
	}
	if g.n == nil {
		t.Fatalf("namespace %s is not listed", name)
	}
	g.until = time.Now().Add(time.Minute) // a drop would wait so long for its rules
	if ok, _ := g.readNFT(g.n); !ok {
		t.Fatalf("read nftables: %v", g.n.nftErr)
	}
	g.rereadXT(g.n)
	g.wait(t)
	return g
}

// wait waits until the rules are read, however slow the machine is.
func (g *guarded) wait(t testing.TB) {
	t.Helper()
	for range 10 { // a legacy table may be replaced meanwhile
		g.n.modelPause, g.n.nftPause = 0, 0
		if g.readModel(g.n, MaxHold) != nil {
			return
		}
		if g.n.reading != nil {
			<-g.n.reading.done
		}
	}
	t.Fatal("the rules could not be read")
}

// event is a drop of a UDP packet for a port, without a rule.
func (g *guarded) event(t testing.TB, port uint16) *event.Event {
	t.Helper()
	e := &event.Event{Type: event.Drop, Netns: g.inode, Hook: 1, PF: netfilter.IPv4, Protocol: 0x0800, HeaderLen: 28,
		Length: 28, Flags: event.HookFrame, InIndex: 2}
	copy(e.InName[:], "eth0")
	copy(e.Header[:], []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2, 0x9c, 0x40, 0, 0, 0, 8})
	binary.BigEndian.PutUint16(e.Header[22:], port)
	now, err := ktime.Now()
	if err != nil {
		t.Fatal(err)
	}
	e.Time = now
	return e
}

func (g *guarded) nft(t testing.TB, e *event.Event, chain string, rule int, m event.Method) {
	t.Helper()
	table := g.n.nft.Ruleset().Tables[0]
	for _, c := range table.Chains {
		if c.Name != chain {
			continue
		}
		e.Rule = event.RuleInfo{Kind: event.RuleNFTPolicy, Method: m, Family: netfilter.IPv4,
			TableHandle: table.Handle, ChainHandle: c.Handle, Generation: g.n.nft.Ruleset().Generation}
		if rule > 0 {
			e.Rule.Kind, e.Rule.RuleHandle = event.RuleNFT, c.Rules[rule-1].Handle
		}
		return
	}
	t.Fatalf("no chain %s", chain)
}

// legacy names the rule of a chain with the number, 0 for its policy.
func (g *guarded) legacy(t testing.TB, e *event.Event, chain string, rule int, m event.Method) {
	t.Helper()
	table := g.n.xt[filterTable]
	for i := range table.Entries {
		entry := &table.Entries[i]
		if entry.Chain == nil || entry.Chain.Name != chain || entry.Policy != (rule == 0) {
			continue
		}
		if rule != 0 && (entry.Rule == nil || entry.Rule.Number != rule) {
			continue
		}
		e.Rule = event.RuleInfo{Kind: event.RuleXT, Method: m, Family: netfilter.IPv4, Address: blobAt,
			Offset: entry.Offset, RuleHandle: printed(entry.Offset)}
		copy(e.Rule.Table[:], "filter")
		copy(e.Rule.Entry[:], entry.Head)
		return
	}
	t.Fatalf("no rule %d", rule)
}

func TestNoMethodNamesARuleThatItsPacketContradicts(t *testing.T) {
	g := newGuarded(t, guardRules+guardLegacy)
	nft := func(chain string, rule int, m event.Method) func(*testing.T, *event.Event) {
		return func(t *testing.T, e *event.Event) { g.nft(t, e, chain, rule, m) }
	}
	legacy := func(rule int, m event.Method) func(*testing.T, *event.Event) {
		return func(t *testing.T, e *event.Event) { g.legacy(t, e, "INPUT", rule, m) }
	}
	for _, tt := range []struct {
		name    string
		port    uint16 // of the packet: 7001 is rule 1's
		set     func(*testing.T, *event.Event)
		certain bool
	}{
		{"nft-frame", 7001, nft("in", 1, event.MethodNFTFrame), true},
		{"nft-frame of another rule", 7001, nft("in", 2, event.MethodNFTFrame), false},
		{"nft-frame of a set", 7005, nft("in", 3, event.MethodNFTFrame), true},
		{"nft-frame of another set", 7004, nft("in", 3, event.MethodNFTFrame), false},
		{"nft-expression", 7002, nft("in", 2, event.MethodNFTExpression), true},
		{"nft-expression of another rule", 7002, nft("in", 1, event.MethodNFTExpression), false},
		{"policy by its site", 7009, nft("in", 0, event.MethodPolicySite), true},
		{"policy of another hook by its site", 7009, nft("out", 0, event.MethodPolicySite), false},
		{"xt-counter", 7001, legacy(1, event.MethodXTCounter), true},
		{"xt-counter of another rule", 7001, legacy(2, event.MethodXTCounter), false},
		{"xt-counter of a new table", 7002, legacy(2, event.MethodXTFresh), true},
		{"xt-counter of another rule of a new table", 7002, legacy(1, event.MethodXTFresh), false},
		{"xt-counter of a policy", 7009, legacy(0, event.MethodXTCounter), true},
		{"xt-target", 7003, legacy(3, event.MethodXTTarget), true},
		{"xt-target of another rule", 7001, legacy(3, event.MethodXTTarget), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, d, before := g.event(t, tt.port), &drop.Drop{}, g.Contradicted()
			tt.set(t, e)
			g.n.xt[filterTable].since = 0
			g.wait(t)
			g.Resolve(context.Background(), e, g.now(), d, MaxHold)
			if got := d.Attribution.Certainty == drop.Certain; got != tt.certain {
				t.Errorf("%s, %+v", d.Attribution.Certainty, d.Rule)
			}
			if got := g.Contradicted() == before; got != tt.certain {
				t.Errorf("counted %d", g.Contradicted()-before)
			}
		})
	}
	if len(g.told) == 0 || !strings.Contains(g.told[0], Issues) {
		t.Errorf("nothing was told to report: %q", g.told)
	}
}

// Instead of the contradicted rule the rules themselves answer, and no surer than
// they can.
func TestReplayAnswersForAContradictedRule(t *testing.T) {
	g := newGuarded(t, guardRules+guardLegacy)
	g.n.handle.Do(func() error {
		return exec.Command("iptables-legacy", "-F").Run()
	})
	g.n.handle.Do(func() error { return exec.Command("iptables-legacy", "-P", "INPUT", "ACCEPT").Run() })
	g.n.xtRead = g.n.xtRead.Add(-rereadEvery)
	g.rereadXT(g.n)
	g.wait(t)
	e, d := g.event(t, 7001), &drop.Drop{}
	g.nft(t, e, "in", 2, event.MethodNFTFrame)
	g.Resolve(context.Background(), e, g.now(), d, MaxHold)
	if d.Attribution.Certainty != drop.Probable || d.Attribution.Method != "replay" || d.Rule == nil || d.Rule.Number != 1 {
		t.Errorf("%+v of %+v", d.Attribution, d.Rule)
	}
}

// Marks, connections and what else may be another by then contradict nothing, nor
// does a packet whose bytes are not at hand.
func TestOnlyBytesContradict(t *testing.T) {
	g := newGuarded(t, guardRules+guardLegacy)
	for name, change := range map[string]func(*event.Event){
		"cut before its ports": func(e *event.Event) { e.HeaderLen = 20 },
		"made up":              func(e *event.Event) { e.Flags |= event.TupleOnly },
		"of a socket":          func(e *event.Event) { e.Flags |= event.Headerless },
		"put together":         func(e *event.Event) { e.Flags |= event.HeadFrags },
		"a later fragment":     func(e *event.Event) { e.Header[7] = 2 },
		"tagged":               func(e *event.Event) { e.Protocol = 0x8100 },
	} {
		e, d := g.event(t, 7001), &drop.Drop{}
		g.nft(t, e, "in", 2, event.MethodNFTFrame)
		change(e)
		g.Resolve(context.Background(), e, g.now(), d, MaxHold)
		if d.Attribution.Certainty != drop.Certain || g.Contradicted() != 0 {
			t.Errorf("%s: %+v", name, d.Attribution)
		}
	}
}

// A hook that was found by searching contradicts nothing, the packet's bytes do.
func TestASearchedHookContradictsNothing(t *testing.T) {
	g := newGuarded(t, guardRules+guardLegacy)
	for _, tt := range []struct {
		port    uint16
		rule    int
		certain bool
	}{{7009, 0, true}, {7001, 1, true}, {7001, 2, false}} {
		e, d := g.event(t, tt.port), &drop.Drop{}
		g.nft(t, e, "in", tt.rule, event.MethodNFTFrame)
		e.Hook, e.Flags = 3, event.HookFrame|event.Uncalibrated
		g.Resolve(context.Background(), e, g.now(), d, MaxHold)
		if got := d.Attribution.Certainty == drop.Certain; got != tt.certain {
			t.Errorf("port %d, rule %d: %+v", tt.port, tt.rule, d.Attribution)
		}
	}
}

// Nothing but the reading itself tells that nftables' rules changed, where legacy
// ones drop.
func TestRulesAreReadAgainAfterAnotherEnginesChanged(t *testing.T) {
	g := newGuarded(t, guardRules+guardLegacy)
	g.n.handle.Do(func() error { return exec.Command("nft", "flush", "ruleset").Run() })
	g.n.model = nil
	g.wait(t)
	if tables := g.n.nft.Ruleset().Tables; slices.ContainsFunc(tables, func(t *ruleset.Table) bool { return t.Engine == ruleset.NFTables }) {
		t.Errorf("still has %d tables", len(tables))
	}
}

// A drop of a rule that was seen before, with the guard and without its evidence.
func BenchmarkResolveSeen(b *testing.B) {
	g := newGuarded(b, guardRules+guardLegacy)
	for _, c := range []struct {
		name string
		set  func(e *event.Event)
	}{
		{"nft", func(e *event.Event) { g.nft(b, e, "in", 1, event.MethodNFTFrame) }},
		{"legacy", func(e *event.Event) { g.legacy(b, e, "INPUT", 1, event.MethodXTCounter) }},
	} {
		for name, flags := range map[string]event.Flag{"guarded": event.HookFrame, "not": event.HeadFrags} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				e, d := g.event(b, 7001), &drop.Drop{}
				c.set(e)
				e.Flags = flags
				b.ReportAllocs()
				for b.Loop() {
					g.Resolve(context.Background(), e, g.now(), d, MaxHold)
				}
				if d.Attribution.Certainty != drop.Certain {
					b.Errorf("%+v", d.Attribution)
				}
			})
		}
	}
}
