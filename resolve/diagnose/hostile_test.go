package diagnose

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/tracer/packet"
)

// harmless is the name that hostile ones are compared with.
const harmless = "harmless"

// hostileNames are names that the kernel takes from whoever may name things.
var hostileNames = []string{
	"a c accept; flush ruleset; #", "$(touch x)", "`touch x`", "a;touch x", "a|touch x", "a&touch x&", "a>x", "a<x",
	"it's", `a"b`, `a\`, `a\'; touch x; '`, `'\''; touch x; '`, "a\ntouch x", "a\rtouch x", "\x1b]0;x\x07", "\x1b[2J", "-x",
	"--modprobe=x", "!x", "a b", "*", "~", "~root", "#", "%self", "=ls", "é", "\u202ex", "a\xff", "a/../../x", "..", "{a,b}", "a=b", "drop", "ip", "handle", "",
}

// named are drops at a place, or by a thing, of the name, each with a command to
// show for a harmless one.
var named = map[string]func(name string) *Case{
	"table of nft": func(name string) *Case {
		m := newModel(ruleset.NFTables, "inet", name)
		return dropAt(web, m.base("in", "input", "drop"), nil, m.rulesets())
	},
	"chain of nft": func(name string) *Case {
		m := newModel(ruleset.NFTables, "inet", "fw")
		return dropAt(web, m.base(name, "input", "drop"), nil, m.rulesets())
	},
	"chain of iptables": func(name string) *Case {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		return dropAt(web, m.base(name, "input", "drop"), nil, m.rulesets())
	},
	"limit in a chain of iptables": func(name string) *Case {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base(name, "input", "drop")
		limit := &ruleset.Opaque{Kind: "limit", Understood: true, MayFail: true, Text: "-m limit --limit 5/min"}
		r := m.rule(name, "", with(tcp(80), limit, accept)...)
		r.Text = `-A "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "'", `\'`).Replace(name) + `" -p tcp -m tcp --dport 80 -m limit --limit 5/min -j ACCEPT`
		return dropAt(web, base, nil, m.rulesets())
	},
	"set of nft": func(name string) *Case {
		m := newModel(ruleset.NFTables, "inet", "fw")
		base := m.base("in", "input", "accept")
		d := m.rule("in", "", inSet(set(m.Table, name, "203.0.113.9/32")), drops)
		return dropAt(web, base, d, m.rulesets())
	},
	"ipset": func(name string) *Case {
		m := newModel(ruleset.IPTablesLegacy, "ip", "filter")
		base := m.base("INPUT", "input", "drop")
		s := set(nil, name, "198.51.100.0/24")
		s.IPSet = "hash:net"
		m.rule("INPUT", "", with(tcp(80), inSet(s), accept)...)
		return dropAt(web, base, nil, m.rulesets())
	},
	"namespace": func(name string) *Case {
		m := newModel(ruleset.NFTables, "inet", "fw")
		c := dropAt(web, m.base("in", "input", "drop"), nil, m.rulesets())
		c.Namespace = Namespace{Name: name}
		return c
	},
	"zone of firewalld": func(name string) *Case {
		m := newModel(ruleset.NFTables, "inet", "firewalld")
		base := m.base("filter_INPUT", "input", "accept")
		zone, allow := m.chain("filter_IN_"+name), m.chain("filter_IN_"+name+"_allow")
		m.rule("filter_INPUT", "", jump(zone))
		m.rule(zone.Name, "", jump(allow))
		d := m.rule("filter_INPUT", "", reject)
		return dropAt(web, base, d, m.rulesets())
	},
	"interface that is down": func(name string) *Case {
		p := traffic{src: "203.0.113.9", dst: "10.9.0.9", dport: 80, in: name}.packet()
		return &Case{Packet: p, Cause: "kernel", Reason: "QDISC_DROP", Symbol: "__dev_queue_xmit", Namespace: Namespace{Own: true},
			Machine: &machine{interfaces: map[string]Interface{name: {}}}}
	},
	"interface with rp_filter": func(name string) *Case {
		p := traffic{src: "203.0.113.9", dst: "10.0.0.2", proto: packet.ProtoUDP, dport: 53, in: name}.packet()
		return &Case{Packet: p, Cause: "kernel", Symbol: "ip_rcv_finish_core", Namespace: Namespace{Own: true}, Machine: &machine{
			sysctls: map[string]string{"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/" + name + "/rp_filter": "1"},
			routes:  map[string]string{"203.0.113.9": "eth1"}}}
	},
	"interface without a way back": func(name string) *Case {
		p := traffic{src: "203.0.113.9", dst: "10.0.0.2", proto: packet.ProtoUDP, dport: 53, in: name}.packet()
		return &Case{Packet: p, Cause: "kernel", Reason: "IP_RPFILTER", Symbol: "ip_rcv_finish_core", Namespace: Namespace{Own: true}, Machine: &machine{
			sysctls: map[string]string{"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/" + name + "/rp_filter": "1"}}}
	},
	"interface of a rule": func(name string) *Case {
		m := newModel(ruleset.NFTables, "inet", "fw")
		base := m.base("in", "input", "drop")
		m.rule("in", "", with(tcp(80), in("eth0"), accept)...)
		p := web
		p.in = name
		return dropAt(p, base, nil, m.rulesets())
	},
	"comment": func(name string) *Case {
		m := newModel(ruleset.IPTablesNFT, "ip", "filter")
		base := m.base("INPUT", "input", "ACCEPT")
		d := m.rule("INPUT", "-p tcp -m tcp --dport 80 -j DROP", with(tcp(80), drops)...)
		m.rule("INPUT", `-s 203.0.113.0/24 -p tcp -m tcp --dport 80 -m comment --comment "`+
			strings.NewReplacer(`\`, `\\`, `"`, `\"`, "'", `\'`).Replace(name)+`" -j ACCEPT`, with(tcp(80), src("203.0.113.0/24"), accept)...)
		return dropAt(web, base, d, m.rulesets())
	},
}

// A command that is shown runs what it would run were the name a harmless one, with
// the name in that one's place, and nothing else.
func TestHostileNamesAreOneWordOfAFix(t *testing.T) {
	sandbox := newSandbox(t)
	for kind, of := range named {
		t.Run(kind, func(t *testing.T) {
			fix, _ := fixOf(of(harmless))
			if fix == "" {
				t.Fatal("no command for a harmless name")
			}
			for _, name := range hostileNames {
				sandbox.compare(t, kind, name, of, fix)
			}
		})
	}
}

func (s *sandbox) compare(t *testing.T, kind, name string, of func(string) *Case, harmlessFix string) {
	t.Helper()
	fix, message := fixOf(of(name))
	if fix == "" {
		return
	}
	if strings.ContainsFunc(fix, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }) {
		t.Errorf("%q: %q, %s", name, fix, message)
	}
	for _, shell := range []string{"bash", "dash"} {
		want := s.run(t, shell, harmlessFix)
		spelled := name
		if want[0] == "sysctl" {
			spelled = strings.ReplaceAll(name, ".", "/")
		}
		for i, word := range want {
			want[i] = strings.ReplaceAll(word, harmless, spelled)
		}
		got := s.run(t, shell, fix)
		if !slices.Equal(got, want) {
			t.Errorf("%s, %q: %s\nruns   %q\nwant   %q", shell, name, fix, got, want)
		}
		if want[0] == "nft" && strings.Contains(strings.Join(got, " "), name) && !ruleset.PlainName(name) && !interfaceNames.MatchString(name) {
			t.Errorf("%q is part of nft's own command: %s", name, fix)
		}
	}
}

// fixOf is the first command that is shown.
func fixOf(c *Case) (fix, message string) {
	for _, w := range Diagnose(c) {
		message = w.Message
		if w.Fix != "" {
			return w.Fix, w.Message
		}
	}
	return "", message
}

// iptables-save prints the names of interfaces and chains as they are, so that one
// with a space in it reads as options.
func TestARulesTextHoldsNoOptionOfTheCommand(t *testing.T) {
	rule := newModel(ruleset.IPTablesNFT, "ip", "filter").rule("INPUT", "")
	for _, text := range []string{"-i a --modprobe=/x -j ACCEPT", "-i a -M /x -j ACCEPT", "-i a -M/x -j ACCEPT", "-i a --modp /x -j ACCEPT",
		"-j a -t nat", "-i a --table nat -j ACCEPT", "-i a -F -j ACCEPT"} {
		if args, ok := IPTablesArgs(rule, "-A INPUT "+text); ok {
			t.Errorf("%s: %q", text, args)
		}
	}
	for _, text := range []string{"! -i eth0 -s 192.0.2.0/24 -p tcp -m tcp --dport 80 -j ACCEPT", "-m statistic --mode random --probability 0.5 -j ACCEPT",
		"-m recent --set --name a -g CHAIN", "-m u32 --u32 0=-1 -f -j ACCEPT", "-m mark --mark 0x1 -j ACCEPT"} {
		if _, ok := IPTablesArgs(rule, "-A INPUT "+text); !ok {
			t.Errorf("refused: %s", text)
		}
	}
}

func TestALeftOutFixHasItsReason(t *testing.T) {
	for kind, name := range map[string]string{
		"table of nft": "a c accept; flush ruleset; #", "chain of nft": "drop", "set of nft": "a b", "chain of iptables": "-x",
		"ipset": "-x", "interface that is down": "-x", "interface with rp_filter": "a=b", "zone of firewalld": "a\nb",
	} {
		if fix, message := fixOf(named[kind](name)); fix != "" || !strings.HasSuffix(message, Unnamed) {
			t.Errorf("%s %q: %q, %q", kind, name, fix, message)
		}
		if _, message := fixOf(named[kind](harmless)); strings.Contains(message, Unnamed) {
			t.Errorf("%s: %q", kind, message)
		}
	}
}

func FuzzHostileNames(f *testing.F) {
	for _, name := range hostileNames {
		f.Add(name)
	}
	sandbox := newSandbox(f)
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsRune(name, 0) || name == harmless || len(name) > 255 {
			return
		}
		for _, kind := range []string{"table of nft", "ipset", "chain of iptables", "namespace", "interface with rp_filter"} {
			of := named[kind]
			fix, _ := fixOf(of(harmless))
			sandbox.compare(t, kind, name, of, fix)
		}
	})
}

// sandbox is a folder in which commands are run, where all programs but these are
// missing, and these write down what they were given.
type sandbox struct{ dir, work, record string }

func newSandbox(t testing.TB) *sandbox {
	t.Helper()
	dir := t.TempDir()
	s := &sandbox{dir: filepath.Join(dir, "bin"), work: filepath.Join(dir, "work"), record: filepath.Join(dir, "record")}
	for _, d := range []string{s.dir, s.work} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\nprintf '%s\\0' \"${0##*/}\" \"$@\" >> '" + s.record + "'\n"
	for _, name := range []string{"nft", "iptables-nft", "ipset", "ip", "sysctl", "firewall-cmd"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// run has a shell run the command and returns the words that programs were given.
func (s *sandbox) run(t *testing.T, shell, command string) []string {
	t.Helper()
	os.Remove(s.record)
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", command)
	cmd.Dir, cmd.Env = s.work, []string{"PATH=" + s.dir, "HOME=/nowhere"}
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%s %q: %v, %q", shell, command, err, out)
	}
	if files, err := os.ReadDir(s.work); err != nil || len(files) > 0 {
		t.Fatalf("%s %q: files %v, %v", shell, command, files, err)
	}
	words, err := os.ReadFile(s.record)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(words), "\x00"), "\x00")
}

func TestNoWordOfAStatementIsAnOption(t *testing.T) {
	chain := &ruleset.Chain{Name: "in", Table: &ruleset.Table{Engine: ruleset.NFTables, Family: "ip", Name: "fw"}}
	words, ok := NFTRule("insert", chain, "handle 7", "ip saddr 192.0.2.1 jump -f /etc/x")
	if !ok || slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") }) {
		t.Errorf("got %q, %v", words, ok)
	}
	if words, ok := NFTRule("insert", chain, "", "-f /etc/x"); ok {
		t.Errorf("got %q", words)
	}
}
