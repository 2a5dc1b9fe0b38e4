package scratch

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNotFirewall is returned for commands that change no firewall.
var ErrNotFirewall = errors.New("not a command that changes a firewall")

// Check accepts one command that changes rules or sets: argv[0] is the program's name,
// no shell has a part in it. What would read or write a file, start a program, only
// look, or be a second command is refused with the reason.
func Check(argv []string) error {
	if len(argv) < 2 {
		return fmt.Errorf("%w: want iptables, ip6tables, nft or ipset and what it is to change", ErrNotFirewall)
	}
	for _, word := range argv {
		if strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%w: a control character in %q", ErrNotFirewall, word)
		}
	}
	switch name := filepath.Base(argv[0]); name {
	case "nft":
		return checkNFT(argv[1:])
	case "ipset":
		return checkIPSet(argv[1:])
	case "iptables", "ip6tables", "iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy":
		return checkIPTables(argv[1:])
	default:
		return fmt.Errorf("%w: %q is not iptables, ip6tables, nft or ipset", ErrNotFirewall, name)
	}
}

// checkNFT accepts one command. nft joins its arguments with spaces and reads them as
// it reads a file: include and a second command behind ; are words of that language.
func checkNFT(words []string) error {
	for _, word := range words {
		if len(word) > 1 && word[0] == '-' && strings.Trim(word[1:], "0123456789") != "" {
			return fmt.Errorf("%w: options of nft are not taken (%s)", ErrNotFirewall, word)
		}
	}
	tokens, err := nftTokens(strings.Join(words, " "))
	if err != nil {
		return err
	}
	if len(tokens) == 0 || !slices.Contains([]string{"add", "create", "insert", "replace", "delete", "destroy", "flush", "rename"}, tokens[0]) {
		return fmt.Errorf("%w: want nft add, create, insert, replace, delete, destroy, flush or rename", ErrNotFirewall)
	}
	if slices.ContainsFunc(tokens, func(t string) bool { return strings.Contains(t, "include") }) {
		return fmt.Errorf("%w: include reads a file", ErrNotFirewall)
	}
	return nil
}

// nftTokens are the words outside of quotes, to the end of the one command.
func nftTokens(text string) (tokens []string, err error) {
	depth, start, quoted := 0, -1, false
	end := func(i int) {
		if start >= 0 {
			tokens = append(tokens, text[start:i])
		}
		start = -1
	}
	for i := range len(text) {
		c := text[i]
		switch {
		case quoted:
			quoted = c != '"'
			continue
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
			if start < 0 {
				start = i
			}
			continue
		}
		end(i)
		switch c {
		case '"':
			quoted = true
		case '{':
			depth++
		case '}':
			depth--
		case '#', '$', '\\', '`':
			return nil, fmt.Errorf("%w: %q in a command of nft", ErrNotFirewall, c)
		}
		if depth < 0 || depth == 0 && c == ';' && strings.Trim(text[i:], "; ") != "" {
			return nil, fmt.Errorf("%w: one command each, give --with again for another", ErrNotFirewall)
		}
	}
	end(len(text))
	if quoted || depth != 0 {
		return nil, fmt.Errorf("%w: a quote or brace is not closed", ErrNotFirewall)
	}
	return tokens, nil
}

// checkIPSet accepts the commands that change sets. Options are single words; -file
// and -output name files.
func checkIPSet(words []string) error {
	command := ""
	for _, word := range words {
		switch word {
		case "-!", "-exist", "-q", "-quiet":
			continue
		case "-A", "-D", "-N", "-X", "-F", "-E", "-W":
			if command == "" {
				command = word
				continue
			}
		}
		if strings.HasPrefix(word, "-") {
			return fmt.Errorf("%w: option %s of ipset is not taken", ErrNotFirewall, word)
		}
		if command == "" {
			command = word
		}
	}
	switch command {
	case "add", "del", "create", "destroy", "flush", "rename", "swap", "-A", "-D", "-N", "-X", "-F", "-E", "-W":
		return nil
	}
	return fmt.Errorf("%w: want ipset add, del, create, destroy, flush, rename or swap", ErrNotFirewall)
}

// The options of iptables itself, of getopt_long in iptables/xtables.c. Those with an
// argument take the rest of their word or the word behind.
const (
	iptablesPlain    = "fnvxc46" // -c has two, numbers
	iptablesArgument = "ADRIFNXEPtspdjgmiowW"
	iptablesChange   = "ADRIFNXEP"
	// iptablesOptional take a word behind only where it does not begin with a dash.
	iptablesOptional = "FXwW"
)

// checkIPTables reads the options as iptables does, and accepts those that change rules.
func checkIPTables(words []string) error {
	changes := 0
	for i := 0; i < len(words); i++ {
		word := words[i]
		long, isLong := strings.CutPrefix(word, "--")
		switch {
		case isLong:
			used, change, err := longOption(long, words[i+1:])
			if err != nil {
				return err
			}
			i += used
			if change {
				changes++
			}
		case len(word) > 1 && word[0] == '-':
			used, change, err := shortOptions(word[1:], words[i+1:])
			if err != nil {
				return err
			}
			i += used
			if change {
				changes++
			}
		}
	}
	if changes != 1 {
		return fmt.Errorf("%w: want one of -A, -D, -I, -R, -F, -N, -X, -P, -E", ErrNotFirewall)
	}
	return nil
}

// shortOptions reads a word of options, and reports whether it took the word behind.
func shortOptions(cluster string, rest []string) (used int, change bool, err error) {
	for i := range len(cluster) {
		c := cluster[i]
		switch {
		case strings.IndexByte(iptablesPlain, c) >= 0:
			continue
		case strings.IndexByte(iptablesArgument, c) < 0:
			return 0, false, fmt.Errorf("%w: option -%c of iptables is not taken", ErrNotFirewall, c)
		}
		value := cluster[i+1:]
		if value == "" && len(rest) > 0 && (strings.IndexByte(iptablesOptional, c) < 0 || !strings.HasPrefix(rest[0], "-")) {
			value, used = rest[0], 1
		}
		if strings.IndexByte("mjgp", c) >= 0 && strings.ContainsRune(value, '/') {
			return 0, false, fmt.Errorf("%w: %q is no extension's name", ErrNotFirewall, value)
		}
		return used, strings.IndexByte(iptablesChange, c) >= 0, nil
	}
	return 0, false, nil
}

// longOption reads an option of two dashes without them. Those of extensions are
// passed over: where their value begins with a dash it is read as an option, and
// refused if it is none that is taken.
func longOption(text string, rest []string) (used int, change bool, err error) {
	name, value, joined := strings.Cut(text, "=")
	long := map[string]byte{
		"append": 'A', "delete": 'D', "insert": 'I', "replace": 'R', "flush": 'F', "new-chain": 'N', "delete-chain": 'X',
		"rename-chain": 'E', "policy": 'P', "table": 't', "source": 's', "src": 's', "destination": 'd', "dst": 'd',
		"protocol": 'p', "proto": 'p', "jump": 'j', "goto": 'g', "match": 'm', "in-interface": 'i', "out-interface": 'o',
		"wait": 'w', "wait-interval": 'W', "fragments": 'f', "numeric": 'n', "verbose": 'v', "exact": 'x', "ipv4": '4', "ipv6": '6',
	}
	if short, ok := long[name]; ok {
		if !joined {
			return shortOptions(string(short), rest)
		}
		return shortOptions(string(short)+value, nil)
	}
	// getopt_long takes any beginning of a name: --modp is --modprobe, a program to run.
	for _, refused := range []string{"modprobe", "list", "list-rules", "check", "zero", "help", "version", "object-pinned"} {
		if strings.HasPrefix(refused, name) {
			return 0, false, fmt.Errorf("%w: option --%s of iptables is not taken", ErrNotFirewall, name)
		}
	}
	return 0, false, nil
}
