package integration

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
)

// A rule is what the kernel's tools and droptrace both call it. A policy has
// neither number nor handle.
type rule struct {
	Engine, Family, Table, Chain string
	Number                       int
	Handle                       uint64
	Queues                       bool // it has not dropped by itself
}

func ruleOf(r *drop.Rule) rule {
	return rule{
		Engine: r.Engine, Family: r.Family, Table: r.Table, Chain: r.Chain,
		Number: r.Number, Handle: r.Handle,
	}
}

// A truth tells how many packets each rule and policy dropped, those that
// dropped none left out.
type truth map[rule]uint64

func (c truth) total() (n uint64) {
	for _, packets := range c {
		n += packets
	}
	return n
}

func (c truth) add(r rule, packets uint64) {
	if packets > 0 {
		c[r] += packets
	}
}

// A ruleset is loaded by one tool and read back by the same, or its sibling.
type ruleset struct {
	tool string // nft iptables-legacy ip6tables-legacy iptables-nft ip6tables-nft
	text string
}

func (s ruleset) load(t *testing.T, ns string) {
	t.Helper()
	if s.tool == "nft" {
		command(t, s.text, "ip", "netns", "exec", ns, "nft", "-f", "-")
		return
	}
	save, restore, _ := strings.Cut(s.tool, "-")
	command(t, s.text, "ip", "netns", "exec", ns, save+"-"+restore+"-restore")
}

func (s ruleset) count(t *testing.T, ns string, c truth) {
	t.Helper()
	if s.tool == "nft" {
		countNFT(t, ns, c)
		return
	}
	for _, table := range regexp.MustCompile(`(?m)^\*(\w+)`).FindAllStringSubmatch(s.text, -1) {
		s.countTable(t, ns, table[1], c)
	}
}

type nftRule struct {
	Family, Table, Chain, Comment string
	Handle                        uint64
	Expr                          []map[string]json.RawMessage
}

func listNFT(t *testing.T, ns string) []nftRule {
	t.Helper()
	var list struct {
		Nftables []struct{ Rule *nftRule }
	}
	out := command(t, "", "ip", "netns", "exec", ns, "nft", "-j", "list", "ruleset")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("nft -j: %v in %q", err, out)
	}
	var rules []nftRule
	for _, item := range list.Nftables {
		if item.Rule != nil {
			rules = append(rules, *item.Rule)
		}
	}
	return rules
}

// countNFT counts rules that drop or are said to by their comment. A rule that
// is called "policy" ends its chain and counts what the policy drops, for the
// kernel does not.
func countNFT(t *testing.T, ns string, c truth) {
	t.Helper()
	number := make(map[[3]string]int)
	for _, r := range listNFT(t, ns) {
		chain := [3]string{r.Family, r.Table, r.Chain}
		number[chain]++
		id := rule{
			Engine: "nftables", Family: r.Family, Table: r.Table, Chain: r.Chain,
			Number: number[chain], Handle: r.Handle,
		}
		drops := r.Comment == "drops"
		var counter struct{ Packets uint64 }
		for _, e := range r.Expr {
			_, drop := e["drop"]
			_, reject := e["reject"]
			_, queue := e["queue"]
			drops = drops || drop || reject || queue
			id.Queues = id.Queues || queue
			if raw, ok := e["counter"]; ok {
				if err := json.Unmarshal(raw, &counter); err != nil {
					t.Fatal(err)
				}
			}
		}
		switch {
		case r.Comment == "policy":
			id.Number, id.Handle = 0, 0
			c.add(id, counter.Packets)
		case drops:
			c.add(id, counter.Packets)
		}
	}
}

var (
	chainLine  = regexp.MustCompile(`^Chain (\S+) \((?:policy (\S+) (\d+) packets|.*)`)
	targetLine = regexp.MustCompile(`^(\d+) +(\d+) +\d+ +(DROP|REJECT|NFQUEUE) `)
	policyLine = regexp.MustCompile(`^\d+ +(\d+) .*/\* policy \*/`)
)

func (s ruleset) countTable(t *testing.T, ns, table string, c truth) {
	t.Helper()
	family, engine := "ip", "iptables-legacy"
	if strings.HasPrefix(s.tool, "ip6") {
		family = "ip6"
	}
	handles := make(map[string][]uint64)
	legacy := strings.HasSuffix(s.tool, "-legacy")
	if !legacy {
		engine = "iptables-nft"
		for _, r := range listNFT(t, ns) {
			if r.Family == family && r.Table == table {
				handles[r.Chain] = append(handles[r.Chain], r.Handle)
			}
		}
	}
	var chain string
	out := command(t, "", "ip", "netns", "exec", ns, s.tool, "-t", table, "-L", "-v", "-x", "-n", "--line-numbers")
	for line := range strings.Lines(out) {
		r := rule{Engine: engine, Family: family, Table: table, Chain: chain}
		if m := chainLine.FindStringSubmatch(line); m != nil {
			chain, r.Chain = m[1], m[1]
			if m[2] == "DROP" && legacy {
				c.add(r, parse(t, m[3]))
			}
		} else if m := targetLine.FindStringSubmatch(line); m != nil {
			r.Number, r.Queues = int(parse(t, m[1])), m[3] == "NFQUEUE"
			if !legacy {
				r.Handle = handles[chain][r.Number-1]
			}
			c.add(r, parse(t, m[2]))
		} else if m := policyLine.FindStringSubmatch(line); m != nil && !legacy {
			c.add(r, parse(t, m[1]))
		}
	}
}

func parse(t *testing.T, digits string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
