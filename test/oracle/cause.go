package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// cause is why a planted rule drops: the code of the first why, and the words that its
// message has to hold.
type cause struct {
	Code string
	Says []string
}

// Ports of planted rules: no other rule knows them.
const (
	firstPlant = 1101
	plants     = 7
)

// plant gives a table's base chains rules whose drops have a known cause. Each port
// goes to a chain of its own that does not come back, so that no other rule of the
// table can be the cause.
func (g *generator) plant(t *table) {
	v6 := t.Family == "ip6" || t.Family == "inet" && g.chance(50)
	for _, base := range slices.Clone(t.Chains) {
		if base.Hook != "input" && base.Hook != "forward" && base.Hook != "output" {
			continue
		}
		for kind := range plants {
			proto, port := "udp", firstPlant+kind
			if kind == plantInvalid {
				if proto = "tcp"; base.Prio <= -200 && g.engine == "nft" {
					continue // conntrack comes later
				}
			}
			c := &chain{Name: fmt.Sprintf("p%d_%s", kind, base.Hook)}
			c.Rules = g.planted(kind, c.Name, base.Hook, proto, port, v6)
			t.Chains = append(t.Chains, c)
			base.Rules = slices.Insert(base.Rules, 0, &rule{ID: g.id(), Verdict: "goto", Target: c.Name, Proto: proto,
				Match: []string{g.port(proto, port)}})
		}
	}
}

const (
	plantSource = iota
	plantInterface
	plantBelow
	plantExcept
	plantMeant
	plantInvalid
	plantNothing
)

func (g *generator) id() string {
	g.next++
	return fmt.Sprintf("o%d.", g.next)
}

// planted are the rules of one kind.
func (g *generator) planted(kind int, name, hook, proto string, port int, v6 bool) []*rule {
	accept := func(match ...string) *rule {
		return &rule{ID: g.id(), Verdict: "accept", Proto: proto, Match: append(match, g.port(proto, port))}
	}
	dropped := func(code string, says []string, match ...string) *rule {
		return &rule{ID: g.id(), Verdict: "drop", Match: match, Cause: &cause{code, says}}
	}
	first, second := name+" rule 1", name+" rule 2"
	switch kind {
	case plantSource:
		return []*rule{accept(g.source(v6, false)), dropped(drop.WhySourceTooNarrow, []string{first})}
	case plantInterface:
		option := "iifname"
		if hook == "output" {
			option = "oifname"
		}
		return []*rule{accept(g.device(option)), dropped(drop.WhyInterfaceMismatch, []string{first, "nosuch0"})}
	case plantBelow:
		r := dropped(drop.WhyAcceptBelowDrop, []string{second, first}, g.port(proto, port))
		r.Proto = proto
		return []*rule{r, accept()}
	case plantExcept:
		r := dropped(drop.WhySourceTooNarrow, []string{first, "drops what does not come from"}, g.source(v6, true), g.port(proto, port))
		r.Proto = proto
		return []*rule{r}
	case plantMeant:
		a := clientAddr(v6, 0)
		if hook == "output" {
			a = addr(v6, 1, 1)
		}
		match := fmt.Sprintf("-s %s", a)
		if g.engine == "nft" {
			match = fmt.Sprintf("%s saddr %s", map[bool]string{false: "ip", true: "ip6"}[v6], a)
		}
		return []*rule{dropped(drop.WhyMeantDrop, []string{first, a.String()}, match)}
	case plantInvalid:
		match := "-m conntrack --ctstate INVALID"
		if g.engine == "nft" {
			match = "ct state invalid"
		}
		return []*rule{dropped(drop.WhyConntrackInvalid, []string{first}, match)}
	}
	code := drop.WhyPolicyDrop
	if hook == "forward" {
		code = drop.WhyForwardDropped
	}
	r := &rule{ID: g.id(), Verdict: "accept", Proto: proto, Match: []string{g.port(proto, port+50)}}
	return []*rule{r, dropped(code, []string{second, fmt.Sprintf("%s %d", proto, port)})}
}

func (g *generator) port(proto string, port int) string {
	if g.engine == "nft" {
		return fmt.Sprintf("%s dport %d", proto, port)
	}
	return fmt.Sprintf("-m %s --dport %d", proto, port)
}

// source matches a network that no packet comes from.
func (g *generator) source(v6, not bool) string {
	network := map[bool]string{false: "10.99.0.0/16", true: "fd99::/32"}[v6]
	if g.engine == "nft" {
		return map[bool]string{false: "ip", true: "ip6"}[v6] + " saddr " + map[bool]string{true: "!= "}[not] + network
	}
	return map[bool]string{true: "! "}[not] + "-s " + network
}

func (g *generator) device(option string) string {
	if g.engine == "nft" {
		return option + ` "nosuch0"`
	}
	return map[string]string{"iifname": "-i", "oifname": "-o"}[option] + " nosuch0"
}

// forPlant makes a packet that meets planted rules.
func (s *spec) forPlant(kind int) {
	s.Proto, s.Flags, s.Type, s.Dport = unix.IPPROTO_UDP, 0, 0, uint16(firstPlant+kind)
	if kind == plantInvalid {
		s.Proto, s.Flags = unix.IPPROTO_TCP, 0x10
	}
	if kind == plantMeant {
		s.Source = 0
	}
}

// told counts what was said of one engine's planted drops.
type told struct {
	Engine, Code         string
	Right, Silent, Wrong int
}

// cause holds the first why of a drop by a planted rule against its cause.
func (j *judge) cause(s *ruleset, phase string, p spec, a *answer, records []drop.Drop) {
	if a.Rule == nil || a.Rule.Cause == nil {
		return
	}
	want, d := a.Rule.Cause, &records[0]
	t := j.causes(s.Engine, want.Code)
	if len(d.Why) == 0 {
		t.Silent++
		return
	}
	how := ""
	if w := d.Why[0]; w.Code != want.Code {
		how = fmt.Sprintf("code %s, want %s", w.Code, want.Code)
	} else {
		for _, words := range want.Says {
			if !strings.Contains(w.Message, words) {
				how = fmt.Sprintf("lacks %q", words)
			}
		}
	}
	if how == "" {
		t.Right++
		return
	}
	t.Wrong++
	j.wrong++
	j.show(s, phase, p, "CERTAIN BUT WRONG WHY", how, a, records)
}

func (j *judge) causes(engine, code string) *told {
	for _, t := range j.whys {
		if t.Engine == engine && t.Code == code {
			return t
		}
	}
	t := &told{Engine: engine, Code: code}
	j.whys = append(j.whys, t)
	return t
}

// printCauses prints the share told, silent and wrong.
func (j *judge) printCauses(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "why\tcode\tN\ttold\tsilent\twrong\ttold%")
	for _, t := range j.whys {
		n := t.Right + t.Silent + t.Wrong
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%d\t%.1f\n", t.Engine, t.Code, n, t.Right, t.Silent, t.Wrong, 100*float64(t.Right)/float64(n))
	}
	tw.Flush()
}
