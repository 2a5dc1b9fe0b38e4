package diagnose

import (
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/replay"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// site is a place where a new accept rule can go, and the commands that put it
// there.
type site struct {
	chain    *ruleset.Chain
	index    int                    // before the rule at this index
	commands func(s *spec) []string // none, or one is empty, where there is no way
}

// oneCommand is a site's one command.
func oneCommand(command func(*spec) string) func(*spec) []string {
	return func(s *spec) []string { return []string{command(s)} }
}

// sites are the places for a rule that comes before the drop, the right one for
// who owns the dropping rule first.
func (d *diagnosis) sites(p replay.Place) []site {
	switch ownerOf(p.Chain, p.Rule) {
	case Firewalld:
		return d.firewalldSites(p)
	case UFW:
		return d.ufwSites(p)
	case Docker:
		if user := chainNamed(p.Chain.Table, "DOCKER-USER"); user != nil && p.Base.Hook == "forward" {
			return []site{d.byHand(user, 0)}
		}
		return []site{d.byHand(p.Base, 0)}
	case Kubernetes, Calico, Cilium, CSF, Shorewall, Fail2ban, CrowdSec, OpenWrt, NixOS, LXD, Incus:
		// Their rules are written again from their own configuration.
		return nil
	case Libvirt, Podman, Tailscale, Flannel:
		return []site{d.byHand(p.Base, 0)}
	}
	if p.Rule == nil {
		sites := []site{d.byHand(p.Base, len(p.Base.Rules))}
		// What is sent away by a goto does not come to the end of the chain.
		if i := d.lastIn(p.Base); i >= 0 {
			sites = append(sites, d.byHand(p.Base, i))
		}
		return sites
	}
	return []site{d.byHand(p.Chain, slices.Index(p.Chain.Rules, p.Rule))}
}

// byHand is a site that the engine's own tool reaches.
func (d *diagnosis) byHand(chain *ruleset.Chain, index int) site {
	return site{chain, index, oneCommand(func(s *spec) string { return d.acceptCommand(chain, index, s) })}
}

// acceptCommand has the engine's own tool insert a rule before the one at index.
func (d *diagnosis) acceptCommand(chain *ruleset.Chain, index int, s *spec) string {
	if chain.Table.Engine == ruleset.NFTables {
		words, ok := s.nft()
		if !ok {
			return ""
		}
		return d.nftInsert(chain, index, strings.Join(append(words, "accept"), " "))
	}
	return d.iptablesInsert(chain, index, append(s.iptables(), "-j", "ACCEPT"))
}

// iptablesInsert puts a rule before the one at index, or at the end.
func (d *diagnosis) iptablesInsert(chain *ruleset.Chain, index int, rule []string) string {
	if index >= len(chain.Rules) {
		return d.iptablesCommand("-A", chain, rule...)
	}
	// Not the index: a copy of the chain may lack rules.
	return d.iptablesCommand("-I", chain, append([]string{strconv.Itoa(chain.Rules[index].Number)}, rule...)...)
}

func (d *diagnosis) iptablesCommand(verb string, chain *ruleset.Chain, rest ...string) string {
	words, ok := ruleset.IPTablesWords(d.iptables(chain.Table), chain.Table, verb, chain.Name)
	if !ok {
		d.unnamed = true
		return ""
	}
	return d.shell(append(words, rest...)...)
}

// iptables is the program that writes to a table. A machine can have both
// backends, so the one is named that owns the rule.
func (d *diagnosis) iptables(t *ruleset.Table) string {
	full := ruleset.Program(t.Engine, t.Family)
	name, _, _ := strings.Cut(full, "-")
	if d.c.Machine != nil && !d.c.Machine.Program(full) && d.c.Machine.Program(name) {
		return name
	}
	return full
}

// nftInsert puts a rule before the one at index, or at the end. nft joins its
// arguments again, so that a statement that the shell would read is one word.
func (d *diagnosis) nftInsert(chain *ruleset.Chain, index int, statement string) string {
	if index >= len(chain.Rules) {
		return d.nftCommand("add", chain, "", statement)
	}
	h := chain.Rules[index].Handle
	if h == 0 {
		return ""
	}
	return d.nftCommand("insert", chain, "handle "+strconv.FormatUint(h, 10), statement)
}

func (d *diagnosis) nftCommand(verb string, chain *ruleset.Chain, where, statement string) string {
	words, ok := NFTRule(verb, chain, where, statement)
	if !ok {
		d.unnamed = true
		return ""
	}
	return d.shell(words...)
}

// NFTRule are the words of a command for a rule of the chain; where is empty or
// "handle 7". ok is false where nft would read a name or the statement as more.
func NFTRule(verb string, chain *ruleset.Chain, where, statement string) (words []string, ok bool) {
	words, ok = ruleset.NFTWords(verb, "rule", chain.Table, chain.Name)
	if !ok || strings.ContainsAny(statement, ";\n") || strings.HasPrefix(statement, "-") {
		return nil, false
	}
	words = append(words, strings.Fields(where)...)
	// getopt_long takes options from anywhere, which only newer nft keeps it from: a
	// chain that a rule jumps to may be called -f.
	option := strings.Contains(statement, " -")
	if option || strings.ContainsFunc(statement, func(r rune) bool { return r != ' ' && special(r) }) {
		words = append(words, statement)
	} else {
		words = append(words, strings.Fields(statement)...)
	}
	return words, true
}

func chainNamed(t *ruleset.Table, name string) *ruleset.Chain {
	for _, c := range t.Chains {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// ufwSites: ufw keeps what its user allows in chains of its own. Where a rule of
// these stands before, it is not enough to add one.
func (d *diagnosis) ufwSites(p replay.Place) []site {
	prefix := "ufw-user-"
	if p.Chain.Table.Family == "ip6" {
		prefix = "ufw6-user-"
	}
	chain := chainNamed(p.Chain.Table, prefix+p.Base.Hook)
	if chain == nil {
		return nil
	}
	forward := p.Base.Hook == "forward"
	command := func(verbs ...string) func(*spec) []string {
		return oneCommand(func(s *spec) string {
			a := s.ufw(forward)
			if a == nil {
				return ""
			}
			words := []string{"ufw"}
			if forward {
				words = append(words, "route")
			}
			words = append(words, verbs...)
			if p.Base.Hook == "output" {
				words = append(words, "out")
			}
			return d.shell(append(words, a...)...)
		})
	}
	return []site{
		{chain, len(chain.Rules), command("allow")},
		{chain, 0, command("prepend", "allow")},
	}
}
