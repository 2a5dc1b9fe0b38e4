package scratch

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestCommandsThatChangeRulesAreTaken(t *testing.T) {
	for _, command := range [][]string{
		{"iptables", "-D", "INPUT", "3"},
		{"iptables-legacy", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", "10.0.0.1:80"},
		{"ip6tables-nft", "--insert", "FORWARD", "1", "--match", "comment", "--comment", "a b", "--jump=ACCEPT"},
		{"/usr/sbin/iptables", "-I", "INPUT", "!", "-s", "10.0.0.0/8", "-m", "recent", "--set", "-j", "ACCEPT", "-w", "-n"},
		{"iptables", "-w", "5", "-A", "INPUT", "-m", "policy", "--dir", "in", "--pol", "ipsec", "-j", "ACCEPT"},
		{"iptables", "-P", "INPUT", "DROP"}, {"iptables", "-F"}, {"iptables", "-tnat", "-X"}, {"iptables", "-N", "include"},
		{"nft", "insert", "rule", "inet", "f", "in", "udp", "dport", "{", "1,", "2", "}", "accept"},
		{"nft", `add chain ip t c { type filter hook input priority -100; policy drop; }`},
		{"nft", "add", "chain", "ip", "t", "c", "{", "type", "filter", "hook", "input", "priority", "-100", ";", "}"},
		{"nft", `add rule ip t c log prefix "include; -f" drop`}, {"nft", "delete rule ip t c handle 7;"},
		{"ipset", "add", "s", "10.0.0.1", "-exist"}, {"ipset", "-!", "-A", "s", "10.0.0.1"}, {"ipset", "create", "s", "hash:ip"},
	} {
		if err := Check(command); err != nil {
			t.Errorf("%q: %v", command, err)
		}
	}
}

func TestCommandsThatDoOtherThingsAreRefused(t *testing.T) {
	for _, command := range [][]string{
		nil, {"iptables"}, {"sh", "-c", "true"}, {"nft; true", "x"}, {"iptables-restore", "F"}, {"iptables-save", "-f", "F"},
		{"iptables-nft-restore", "/etc/x"}, {"ebtables", "-A", "INPUT"},
		{"iptables", "-A", "INPUT", "--modprobe=/tmp/x"}, {"iptables", "-A", "INPUT", "--modp", "/tmp/x"}, {"iptables", "-A", "INPUT", "--m", "/tmp/x"},
		{"iptables", "-M", "/tmp/x", "-A", "INPUT"}, {"iptables", "-vM/tmp/x", "-A", "INPUT"}, {"iptables", "-nvM", "/tmp/x", "-A", "INPUT"},
		{"iptables", "-A", "INPUT", "-m", "../../tmp/x"}, {"iptables", "-A", "INPUT", "-j/tmp/x"}, {"iptables", "-A", "INPUT", "--match=/tmp/x"},
		{"iptables", "-A", "INPUT", "-m", "bpf", "--object-pinned", "/sys/fs/bpf/x"}, {"iptables", "-A", "INPUT", "-m", "bpf", "--obj", "/x"},
		{"iptables", "-L"}, {"iptables", "-nL"}, {"iptables", "-S"}, {"iptables", "-C", "INPUT"}, {"iptables", "-Z"}, {"iptables", "-h"},
		{"iptables", "-A", "INPUT", "-D", "INPUT"}, {"iptables", "-A", "INPUT", "--", "-M", "x"}, {"iptables", "-j", "DROP"},
		{"iptables", "-A", "INPUT", "--comment", "a\nb"},
		{"nft", "-f", "F"}, {"nft", "-i"}, {"nft", "-I", "/tmp", "add table ip t"}, {"nft", "-D", "x=y", "add table ip t"}, {"nft", "--file=F"},
		{"nft", `include "/etc/shadow"`}, {"nft", "add table ip t; include \"/etc/shadow\""}, {"nft", "add", "table", "ip", "t", ";", "flush", "ruleset"},
		{"nft", `add table ip t { include "/etc/shadow"; }`}, {"nft", `add table ip t { chain c { type filter hook input priority 0; include "/x" } }`},
		{"nft", `add rule ip t c log prefix "a" drop; flush ruleset`}, {"nft", `add rule ip t c log prefix "a`}, {"nft", "add table ip t } ; {"},
		{"nft", "list", "ruleset"}, {"nft", "monitor"}, {"nft", "add table ip t # x"}, {"nft", "add table ip $x"}, {"nft", "add table ip t\nflush ruleset"},
		{"nft", "define x = 1"}, {"nft", "-j", "{}"}, {"nft", "reset counters"},
		{"ipset", "save", "-file", "F"}, {"ipset", "list", "-f", "F"}, {"ipset", "add", "s", "1.2.3.4", "-f", "F"}, {"ipset", "-file", "F", "add", "s", "1.2.3.4"},
		{"ipset", "restore"}, {"ipset", "save"}, {"ipset", "-R"}, {"ipset", "-"}, {"ipset", "add", "s", "1.2.3.4", "-output", "xml"},
		{"ipset", "-A", "s", "1.2.3.4", "-S"},
	} {
		if err := Check(command); !errors.Is(err, ErrNotFirewall) {
			t.Errorf("%q: %v", command, err)
		}
	}
}

// FuzzCheck looks at what is accepted by rules of its own: no word that a program
// takes for a file, a program or another command.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"iptables\x00-A\x00INPUT\x00-j\x00DROP", "iptables\x00-vnA\x00INPUT\x00--comment\x00x", "nft\x00add rule ip t c log prefix \"a;\" drop",
		"ipset\x00add\x00s\x0010.0.0.1\x00-exist", "nft\x00add\x00table\x00ip\x00t\x00{\x00}", "iptables\x00--modprobe=x\x00-F",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		argv := strings.Split(s, "\x00")
		if Check(argv) != nil {
			return
		}
		if strings.ContainsAny(s, "\n\r") {
			t.Fatalf("%q holds a line break", argv)
		}
		if argv[0] == "nft" || strings.HasSuffix(argv[0], "/nft") {
			outside := outsideQuotes(strings.Join(argv[1:], " "))
			for _, word := range strings.FieldsFunc(outside, func(r rune) bool { return strings.ContainsRune(" ;{}", r) }) {
				if word == "include" {
					t.Fatalf("%q includes a file", argv)
				}
			}
			depth := 0
			for i, c := range outside {
				depth += strings.Count(string(c), "{") - strings.Count(string(c), "}")
				if c == ';' && depth == 0 && strings.Trim(outside[i:], " ;") != "" {
					t.Fatalf("%q has a second command", argv)
				}
			}
			return
		}
		for i, word := range argv[1:] {
			if strings.HasPrefix(word, "-f") && strings.HasSuffix(argv[0], "ipset") || strings.HasPrefix(word, "-o") && strings.HasSuffix(argv[0], "ipset") {
				t.Fatalf("%q writes a file", argv)
			}
			// A word behind an option with an argument is that.
			short := len(argv[i]) > 1 && argv[i][0] == '-' && strings.ContainsRune("ADRIFNXEPtspdjgmiowW", rune(argv[i][len(argv[i])-1]))
			if !short && strings.HasPrefix("--modprobe", word) && len(word) > 2 && strings.Contains(argv[0], "tables") && !slices.Contains(longNames(), argv[i]) {
				t.Fatalf("%q starts a program", argv)
			}
		}
	})
}

func longNames() []string {
	return []string{"--append", "--delete", "--insert", "--replace", "--flush", "--new-chain", "--delete-chain", "--rename-chain", "--policy",
		"--table", "--source", "--src", "--destination", "--dst", "--protocol", "--proto", "--jump", "--goto", "--match", "--in-interface",
		"--out-interface", "--wait", "--wait-interval"}
}

// outsideQuotes leaves out what stands in quotes.
func outsideQuotes(s string) string {
	parts := strings.Split(s, `"`)
	var b strings.Builder
	for i := 0; i < len(parts); i += 2 {
		b.WriteString(parts[i])
	}
	return b.String()
}

func TestIncludeOfFilesIsFound(t *testing.T) {
	for text, want := range map[string]int{
		"table ip t {\n}\n":                                   0,
		"# include \"x\"\ntable ip t {\n}\n":                  0,
		"table ip t {\n comment \"include\" \n}\n":            0,
		"table ip t {\n}\ninclude \"/etc/shadow\"\n":          3,
		"table ip t {\n comment \"a\nb\"; include \"x\"\n}\n": 3,
		"table ip t { include \"x\"\n}\n":                     1,
		"table ip t {\n comment \"# \" ; include \"/x\"\n}\n": 2,
		"table ip t {\n}\n \" include \n":                     3,
	} {
		if got := includeLine(text); got != want {
			t.Errorf("%q: line %d, want %d", text, got, want)
		}
	}
}
