package completion

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// source finds what a flag's value may be, on this machine.
type source func(context.Context, *line) []Candidate

// sources are by the flag's long name. A flag that is in none of them, nor in files,
// takes what nobody can list: a number, an address, a time.
func sources() map[string]source {
	formats := words("text", "json")
	return map[string]source{
		"iface": interfaces, "in": interfaces, "out": interfaces,
		"netns": namespaces,
		"table": tables, "chain": chains,
		"reason":  reasons,
		"hook":    words("prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"),
		"ctstate": words("new", "established", "related", "invalid", "untracked"),
		"state":   words("new", "established", "related", "invalid", "untracked"),
		"proto":   words("tcp", "udp", "icmp", "icmpv6", "sctp", "gre", "esp", "ah"),
		"probes":  words("auto", "fentry", "kprobe", "tracepoint"),
		"output": func(ctx context.Context, l *line) []Candidate {
			if l.command == nil || l.command.Name == "read" {
				return append(formats(ctx, l), Candidate{Word: "tcpdump"})
			}
			return formats(ctx, l)
		},
		"tcp-flags": words("syn", "ack", "fin", "rst", "psh", "urg", "ece", "cwr", "none"),
	}
}

// files are the flags whose value is a file's name.
func files() []string { return []string{"read", "write", "rules", "drops", "correlate"} }

func words(list ...string) source {
	return func(context.Context, *line) []Candidate {
		out := make([]Candidate, len(list))
		for i, w := range list {
			out[i].Word = w
		}
		return out
	}
}

// values answers for a flag's value; before is what stands in the word before it, its
// own name as a rule. Values with commas go on behind the last one.
func (l *line) values(ctx context.Context, f cli.Flag, before, current string) Answer {
	name := f.Names()[0]
	if slices.Contains(files(), name) {
		return Answer{Files: true}
	}
	find := sources()[name]
	if find == nil {
		return Answer{}
	}
	if i := strings.LastIndexByte(current, ','); i >= 0 {
		before, current = before+current[:i+1], current[i+1:]
	}
	var a Answer
	for _, c := range find(ctx, l) {
		if plain(c.Word) && startsWith(c.Word, current) && !slices.ContainsFunc(a.Candidates, func(other Candidate) bool {
			return other.Word == before+c.Word
		}) {
			a.Candidates = append(a.Candidates, Candidate{before + c.Word, c.About})
		}
	}
	return a
}

// startsWith lets names of the kernel's, which are upper case, be typed in lower case.
func startsWith(word, start string) bool {
	return len(word) >= len(start) && strings.EqualFold(word[:len(start)], start)
}

// plain reports whether every shell reads the word as itself, and the command line as
// one value and no flag.
func plain(word string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@+-"
	return word != "" && word[0] != '-' && strings.Trim(word, letters) == ""
}
