package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// answer names what dropped a packet: the rule or, with no rule, the policy.
type answer struct {
	Family, Table, Chain string
	Base                 string // where it is known
	Number               int
	Handle               uint64
	Rule                 *rule
	times                int
}

func (a *answer) String() string {
	if a == nil {
		return "accepted"
	}
	if a.Rule == nil {
		return fmt.Sprintf("%s %s %s policy", a.Family, a.Table, a.Chain)
	}
	return fmt.Sprintf("%s %s %s (base %s) number %d handle %d comment %s %s", a.Family, a.Table, a.Chain, a.Base, a.Number, a.Handle, a.Rule.ID, a.Rule.Verdict)
}

// kind is the sort of the rule.
func (a *answer) kind() string {
	if a.Rule == nil {
		return "policy"
	}
	return a.Rule.Verdict
}

// truth is the fate of a packet and of the reply that it caused. Told is false
// where counters do not tell which of the two a rule dropped.
type truth struct {
	told        bool
	orig, reply *answer
}

func (t truth) same(u truth) bool {
	return t.told && u.told && t.orig.String() == u.orig.String() && t.reply.String() == u.reply.String()
}

// kernel loads rulesets and asks counters, all in the thread's namespace.
type kernel struct {
	lab  *lab
	conn *netlink.Conn
	ct   *netlink.Conn
}

// load loads a ruleset.
func (k *kernel) load(s *ruleset) error {
	switch s.Engine {
	case "nft":
		_, err := run(s.nft(), "nft", "-f", "-")
		return err
	default:
		suffix := strings.TrimPrefix(s.Engine, "iptables-")
		for _, f := range []string{"ip", "ip6"} {
			// A table that the last ruleset had and this one has not.
			old := ""
			for _, name := range []string{"raw", "mangle", "nat"} {
				if !slices.ContainsFunc(s.Tables, func(t *table) bool { return t.Family == f && t.Name == name }) {
					old += "*" + name + "\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
					if name == "nat" {
						old += ":INPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
					}
					if name == "mangle" {
						old += ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
					}
					old += "COMMIT\n"
				}
			}
			if _, err := run(old+s.restore(f), f+"tables-"+suffix+"-restore"); err != nil {
				return err
			}
		}
		return nil
	}
}

// clear removes what load left.
func (k *kernel) clear(engine string) {
	run("flush ruleset\n", "nft", "-f", "-")
	if engine == "iptables-legacy" {
		empty := &ruleset{Engine: engine}
		for _, f := range []string{"ip", "ip6"} {
			t := &table{Family: f, Name: "filter"}
			for _, n := range []string{"INPUT", "FORWARD", "OUTPUT"} {
				t.Chains = append(t.Chains, &chain{Name: n, Hook: hookOf[n], Policy: "accept"})
			}
			empty.Tables = append(empty.Tables, t)
		}
		k.load(empty)
	}
}

// forget flushes conntrack.
func (k *kernel) forget() {
	for _, f := range []byte{unix.AF_INET, unix.AF_INET6} {
		k.ct.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.NFNL_SUBSYS_CTNETLINK<<8 | 2, Flags: netlink.Request | netlink.Acknowledge},
			Data:   []byte{f, 0, 0, 0},
		})
	}
}

func (k *kernel) read(s *ruleset, v6 bool) (counters, error) {
	if s.Engine != "iptables-legacy" {
		return readNFT(k.conn)
	}
	if v6 {
		return readLegacy("ip6")
	}
	return readLegacy("ip")
}

// measure sends one packet and asks the counters what became of it.
func (k *kernel) measure(s *ruleset, p spec, id uint16) (truth, error) {
	before, err := k.read(s, p.V6)
	if err != nil {
		return truth{}, err
	}
	k.lab.send(p, id)
	time.Sleep(50 * time.Microsecond) // the softirq has mostly run inside send
	after, err := k.read(s, p.V6)
	if err != nil {
		return truth{}, err
	}
	moved := func(at place) int { return int(after[at].Packets - before[at].Packets) }
	var items []*answer
	var lost []*answer                                         // base chains in which a packet was lost
	survived := moved(place{"inet", "tap", "survived", 1}) > 0 // the hook input
	tap, total := 0, 0
	for _, t := range s.Tables {
		reach := t.reachable()
		family := t.Family
		own := []*answer{}
		for _, c := range t.Chains {
			if c.Hook != "" {
				n := moved(place{"inet", "tap", fmt.Sprint("a", tap), 1}) - moved(place{"inet", "tap", fmt.Sprint("b", tap), 1})
				if s.Engine == "iptables-legacy" {
					n = 0
					if c.Policy == "drop" {
						n = moved(place{family, t.Name, c.Name, 0})
					}
				}
				tap++
				if n > 0 {
					own = append(own, &answer{Family: family, Table: t.Name, Chain: c.Name, Base: c.Name, times: n})
				}
			}
		}
		lost = append(lost, own...)
		for _, c := range t.Chains {
			for i, r := range c.Rules {
				at := place{family, t.Name, c.Name, i + 1}
				n := moved(at)
				if n == 0 || !r.drops(p) {
					continue
				}
				a := &answer{Family: family, Table: t.Name, Chain: c.Name, Number: i + 1, Handle: after[at].Handle, Rule: r, times: n}
				var base []string
				for _, b := range reach[c.Name] {
					if s.Engine == "iptables-legacy" || slices.ContainsFunc(own, func(l *answer) bool { return l.Base == b.Name }) {
						base = append(base, b.Name)
					}
				}
				a.Base = strings.Join(base, "|")
				if r.Verdict == "vmap" { // its counter moved before the map was asked
					// Lost below two base chains, it and its reply: it may have
					// counted either, and the map knows only the packet's own port.
					if n > 1 || len(base) > 1 {
						return truth{}, nil
					}
					if p.Path != output && (survived || len(base) == 0 || base[0] == "b_output") {
						continue // a reply, whose port no map knows
					}
				}
				items = append(items, a)
				total += n
			}
		}
	}
	if s.Engine == "iptables-legacy" {
		items = append(items, lost...)
		family := map[bool]string{false: "ip", true: "ip6"}[p.V6]
		survived = moved(place{family, "security", "INPUT", 0}) > 0
	} else {
		sum := 0
		for _, l := range lost {
			sum += l.times
		}
		for _, l := range lost {
			if !slices.ContainsFunc(items, func(a *answer) bool {
				return a.Rule != nil && strings.Contains("|"+a.Base+"|", "|"+l.Base+"|") && a.Table == l.Table
			}) {
				items = append(items, l)
				total += l.times
			}
		}
		if total != sum {
			return truth{}, nil
		}
	}
	return tell(p, items, survived), nil
}

func (a *answer) rejects() bool { return a.Rule != nil && a.Rule.Verdict == "reject" }

// tell parts the packet from its reply.
func tell(p spec, items []*answer, survived bool) truth {
	n := 0
	for _, a := range items {
		n += a.times
	}
	switch {
	case n == 0:
		return truth{told: true}
	case p.Path == output && survived && slices.ContainsFunc(items, (*answer).rejects):
		return truth{} // what survived may be the answer to it
	case n == 1 && survived: // also where DNAT brought it here
		return truth{told: true, reply: items[0]}
	case n == 1:
		return truth{told: true, orig: items[0]}
	case survived: // the reply was rejected, and so was that answer
		return truth{told: true}
	case len(items) == 1 && n == 2:
		return truth{told: true, orig: items[0], reply: items[0]}
	case n != 2:
		return truth{}
	}
	a, b := items[0], items[1]
	ra, rb := a.Rule != nil && a.Rule.Verdict == "reject", b.Rule != nil && b.Rule.Verdict == "reject"
	switch {
	case ra && !rb:
		return truth{told: true, orig: a, reply: b}
	case rb && !ra:
		return truth{told: true, orig: b, reply: a}
	}
	return truth{}
}

// tap adds a table that counts what enters and leaves each base chain.
func (k *kernel) tap(s *ruleset) error {
	if s.Engine == "iptables-legacy" {
		return nil
	}
	var b strings.Builder
	b.WriteString("table inet tap {\n")
	n := 0
	for _, t := range s.Tables {
		only := map[string]string{"inet": "", "ip": "meta nfproto ipv4 ", "ip6": "meta nfproto ipv6 "}[t.Family]
		for _, c := range t.Chains {
			if c.Hook == "" {
				continue
			}
			fmt.Fprintf(&b, "chain a%d { type filter hook %s priority %d; %scounter; }\n", n, c.Hook, c.Prio-1, only)
			fmt.Fprintf(&b, "chain b%d { type filter hook %s priority %d; %scounter; }\n", n, c.Hook, c.Prio+1, only)
			n++
		}
	}
	b.WriteString("chain survived { type filter hook input priority 1000; counter; }\n}\n")
	_, err := run(b.String(), "nft", "-f", "-")
	return err
}

func (k *kernel) untap(s *ruleset) error {
	if s.Engine == "iptables-legacy" {
		return nil
	}
	_, err := run("delete table inet tap\n", "nft", "-f", "-")
	return err
}
