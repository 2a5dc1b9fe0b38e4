package scratch

import (
	"bytes"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
)

// inside runs a program in the namespace as it is installed, and returns its output.
func inside(t *testing.T, n *Namespace, input, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := n.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, said.String(), input)
	}
	return out.String()
}

// readAll reads the namespace's rules of all engines.
func readAll(t *testing.T, n *Namespace) []*ruleset.Ruleset {
	t.Helper()
	nft, err := nftables.ReadModel(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	list := []*ruleset.Ruleset{nft}
	ids, err := xtables.Tables(n)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		b, err := xtables.Read(n, id)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, &ruleset.Ruleset{Tables: []*ruleset.Table{b.Table}})
	}
	return list
}

// everything is a ruleset of nft with most kinds of objects.
const everything = `table inet f {
	ct helper ftp-standard {
		type "ftp" protocol tcp
		l3proto inet
	}

	counter c {
		packets 3 bytes 4
	}

	quota q {
		10 mbytes used 1 kbytes
	}

	limit l {
		rate 10/second
	}

	set addrs {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8, 192.0.2.1,
			     198.51.100.0-198.51.100.77 }
	}

	set six {
		type ipv6_addr . inet_service
		flags interval
		elements = { 2001:db8::/32 . 80-90,
			     ::/0 . 22 }
	}

	set seen {
		type ipv4_addr
		size 100
		flags dynamic,timeout
		timeout 1m
	}

	set counted {
		type inet_service
		counter
		elements = { 80 counter packets 5 bytes 6 comment "a b" }
	}

	map verdicts {
		type inet_service : verdict
		elements = { 22 : jump other, 23 : drop }
	}

	map nat {
		type ipv4_addr : ipv4_addr . inet_service
		elements = { 192.0.2.1 : 10.0.0.1 . 80 }
	}

	map objects {
		type inet_service : counter
		elements = { 80 : "c" }
	}

	chain in {
		type filter hook input priority filter - 10; policy drop;
		ct state vmap { invalid : drop, established : accept, related : accept }
		iif "eth7" tcp dport { 22, 80-90 } accept comment "quoted \ text"
		ip saddr @addrs counter packets 7 bytes 8 drop
		ip6 saddr . tcp dport @six accept
		add @seen { ip saddr limit rate 5/second burst 7 packets } accept
		tcp dport vmap @verdicts
		tcp dport @counted limit rate over 10/minute burst 5 packets drop
		counter name tcp dport map @objects
		quota name "q" drop
		log prefix "x: " level warn flags tcp sequence
		log prefix "y" group 3 snaplen 100
		meta mark set meta mark & 0x000000ff | 0x00000100
		numgen inc mod 4 < 2 drop
		jhash ip saddr mod 8 seed 0x000000ff == 3 drop
		fib saddr . iif oif missing drop
		tcp option maxseg size > 1400 drop
		queue flags bypass to 1-3
		reject with icmpx admin-prohibited
		goto other
	}

	chain other {
		ip protocol icmp icmp type { echo-request, echo-reply } accept comment "other"
		meta l4proto { tcp, udp } th dport 99 drop
		oifname "veth*" ct mark & 0x0000000f == 0x00000003 drop
		meta time "2024-01-01 00:00:00"-"2030-01-01 00:00:00" drop
		ct original ip saddr 10.0.0.0/8 drop
	}

	chain dstnat {
		type nat hook prerouting priority dstnat; policy accept;
		meta l4proto tcp dnat ip to 10.0.0.1:8080-8090 random
		udp dport 90 redirect to :80
	}
}
table netdev d {
	chain early {
		type filter hook ingress device "eth8" priority 0; policy accept;
		ip saddr 10.0.0.0/8 drop
	}
}
`

// loadKnown loads the text without the lines for which this kernel has no code.
func loadKnown(t *testing.T, n *Namespace, text string) {
	t.Helper()
	for {
		err := n.LoadNFT(t.Context(), text)
		e, ok := errors.AsType[*ProgramError](err)
		switch {
		case err == nil:
			return
		case !ok || e.Line == 0 || !strings.Contains(e.Message, "No such file") && !strings.Contains(e.Message, "not supported"):
			t.Fatal(err)
		}
		lines := strings.SplitAfter(text, "\n")
		t.Logf("not in this kernel: %s", strings.TrimSpace(lines[e.Line-1]))
		text = strings.Join(slices.Delete(lines, e.Line-1, e.Line), "")
	}
}

// TestCopyIsTheSame has nft itself compare: it prints the copy as the original.
func TestCopyIsTheSame(t *testing.T) {
	from, to := newScratch(t), newScratch(t)
	if err := from.addDevice("eth6"); err != nil { // so that indexes differ from those a copy would give
		t.Fatal(err)
	}
	loadKnown(t, from, everything)
	if err := to.Copy(t.Context(), from, readAll(t, from)); err != nil {
		t.Fatal(err)
	}
	want, got := inside(t, from, "", "nft", "list", "ruleset"), inside(t, to, "", "nft", "list", "ruleset")
	if a, b := strings.Split(want, "\n"), strings.Split(got, "\n"); want != got {
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("line %d: %q, want %q\n%s\nwant\n%s", i, b[i], a[i], got, want)
			}
		}
		t.Errorf("%d lines, want %d", len(b), len(a))
	}
}

func TestCopyOfAChainWithinARule(t *testing.T) {
	from, to := newScratch(t), newScratch(t)
	err := from.LoadNFT(t.Context(), "table ip t {\n chain c {\n  udp dport 1-9 jump {\n   udp dport 5 drop\n  }\n accept\n }\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Copy(t.Context(), from, readAll(t, from)); err != nil {
		t.Fatal(err)
	}
	if got := inside(t, to, "", "nft", "list", "ruleset"); !strings.Contains(got, "jump __chain") || !strings.Contains(got, "udp dport 5 drop") {
		t.Errorf("got %s", got)
	}
}

// saved is one family of iptables with extensions whose data the kernel checks.
const savedRules = `*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:chain - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "a \"b\" c" -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80,443 -m limit --limit 5/sec -j chain
-A INPUT ! -p tcp -m mark --mark 0x1/0xff -j DROP
-A INPUT -p udp -m udp --dport 53 -m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 5 --hashlimit-name h -j ACCEPT
-A INPUT -m set --match-set second src -j DROP
-A INPUT -m recent --rcheck --seconds 60 --name DEFAULT --mask 255.255.255.255 --rsource -j DROP
-A chain -s 10.0.0.0/8 -p icmp -m icmp --icmp-type 8 -j REJECT --reject-with icmp-host-prohibited
-A chain -m set --match-set third dst,dst -j RETURN
COMMIT
`

func TestCopyOfIPTablesWithIPSets(t *testing.T) {
	for engine, program := range map[ruleset.Engine]string{
		ruleset.IPTablesNFT: "iptables-nft", ruleset.IPTablesLegacy: "iptables-legacy",
	} {
		t.Run(program, func(t *testing.T) {
			from, to := newScratch(t), newScratch(t)
			inside(t, from, `create first hash:ip
create gone hash:ip
create second hash:net timeout 600 comment counters
create third hash:ip,port
create all list:set
add second 10.0.0.0/8 timeout 0 comment "a b"
add second 10.1.0.0/16 nomatch timeout 0
add third 192.0.2.1,tcp:80
add third 192.0.2.2,udp:53
add all second
add all first
destroy gone
`, "ipset", "restore")
			// What the kernel has no code for is left out.
			var text strings.Builder
			for line := range strings.Lines(savedRules) {
				try := newScratch(t)
				inside(t, try, "create second hash:net\ncreate third hash:ip,port\n", "ipset", "restore")
				if !strings.HasPrefix(line, "-A") || try.LoadIPTables(t.Context(), engine, "ip", "*filter\n:chain - [0:0]\n"+line+"COMMIT\n") == nil {
					text.WriteString(line)
				} else {
					t.Logf("not in this kernel: %s", line)
				}
			}
			if err := from.LoadIPTables(t.Context(), engine, "ip", text.String()); err != nil {
				t.Fatal(err)
			}
			if err := to.Copy(t.Context(), from, readAll(t, from)); err != nil {
				t.Fatal(err)
			}
			for _, list := range [][]string{{"ipset", "save", "-sorted"}, {program + "-save", "-t", "filter"}} {
				want, got := inside(t, from, "", list[0], list[1:]...), inside(t, to, "", list[0], list[1:]...)
				if withoutComments(want) != withoutComments(got) {
					t.Errorf("got\n%swant\n%s", got, want)
				}
			}
		})
	}
}

// withoutComments leaves out when a listing was made.
func withoutComments(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}
