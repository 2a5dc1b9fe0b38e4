package audit

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// saved parses the rules of a filter table as iptables-save prints them.
func saved(t *testing.T, rules ...string) *ruleset.Ruleset {
	t.Helper()
	text := "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:BLOCK - [0:0]\n:MAYBE - [0:0]\n" +
		strings.Join(rules, "\n") + "\nCOMMIT\n"
	rs, err := iptables.Parse(strings.NewReader(text), iptables.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// claims are the findings of some codes, as code and message.
func claims(list []Finding, codes ...Code) []string {
	var out []string
	for _, f := range list {
		if slices.Contains(codes, f.Code) {
			out = append(out, string(f.Code)+": "+f.Message)
		}
	}
	return out
}

func TestRulesThatCannotDoWhatTheySay(t *testing.T) {
	const in = "iptables-nft filter INPUT"
	for name, c := range map[string]struct {
		rules []string
		want  []string
	}{
		"accept below a drop of all its packets": {
			rules: []string{"-A INPUT -p tcp -m tcp --dport 80 -j DROP", "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT"},
			want:  []string{"accept-below-drop: " + in + " rule 2 never accepts: above it, all its packets are dropped by rule 1"},
		},
		"accept of more than is dropped": {
			rules: []string{"-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j DROP", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"},
		},
		"another protocol's port": {
			rules: []string{"-A INPUT -p tcp -m tcp --dport 53 -j DROP", "-A INPUT -p udp -m udp --dport 53 -j ACCEPT"},
		},
		"one port of many": {
			rules: []string{"-A INPUT -p tcp -m multiport --dports 80,443,8000:8010 -j DROP", "-A INPUT -p tcp -m tcp --dport 8005 -j ACCEPT"},
			want:  []string{"accept-below-drop: " + in + " rule 2 never accepts: above it, all its packets are dropped by rule 1"},
		},
		"a port given in another way": {
			rules: []string{"-A INPUT -p tcp -m tcp --dport 80 -j DROP", "-A INPUT -s 10.0.0.0/8 -p tcp -m multiport --dports 80 -j ACCEPT"},
			want:  []string{"accept-below-drop: " + in + " rule 2 never accepts: above it, all its packets are dropped by rule 1"},
		},
		"later fragments get past what looks for a port": {
			rules: []string{"-A INPUT -p tcp -m tcp --sport 0:65535 -j DROP", "-A INPUT -p tcp -j ACCEPT"},
		},
		"one port more than many": {
			rules: []string{"-A INPUT -p tcp -m multiport --dports 80,443 -j DROP", "-A INPUT -p tcp -m multiport --dports 443,444 -j ACCEPT"},
		},
		"everything but one network": {
			rules: []string{"-A INPUT ! -s 10.0.0.0/8 -j DROP", "-A INPUT -s 192.168.1.0/24 -j ACCEPT", "-A INPUT -s 10.1.0.0/16 -j ACCEPT"},
			want:  []string{"accept-below-drop: " + in + " rule 2 never accepts: above it, all its packets are dropped by rule 1"},
		},
		"a drop that is limited lets some through": {
			rules: []string{"-A INPUT -p tcp -m limit --limit 5/sec -j DROP", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"},
		},
		"a jump to a chain that always drops": {
			rules: []string{"-A BLOCK -m limit --limit 1/sec -j LOG", "-A BLOCK -j REJECT", "-A INPUT -s 10.0.0.0/8 -j BLOCK", "-A INPUT -s 10.9.0.0/16 -p tcp -j ACCEPT"},
			want:  []string{"accept-below-drop: " + in + " rule 2 never accepts: above it, all its packets are dropped by rule 1"},
		},
		"a jump to a chain that may come back": {
			rules: []string{"-A MAYBE -p tcp -j DROP", "-A INPUT -s 10.0.0.0/8 -j MAYBE", "-A INPUT -s 10.9.0.0/16 -j ACCEPT"},
		},
		"a return lets the chain below it be": {
			rules: []string{"-A BLOCK -j RETURN", "-A BLOCK -p tcp -j DROP", "-A INPUT -j BLOCK"},
			want:  []string{"unreachable-rule: iptables-nft filter BLOCK rule 2 is never reached: nothing gets past rule 1"},
		},
		"a state that the rule above does not take": {
			rules: []string{"-A INPUT -m conntrack --ctstate INVALID -j DROP", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"},
		},
		"a state among those above": {
			rules: []string{"-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -p tcp -m conntrack --ctstate ESTABLISHED -j DROP"},
			want:  []string{"shadowed-rule: " + in + " rule 2 never matches: above it, all its packets are taken by rule 1"},
		},
		"the same twice": {
			rules: []string{"-A INPUT -p udp -m udp --dport 53 -j ACCEPT", "-A INPUT -i eth0 -j ACCEPT", "-A INPUT -p udp -m udp --dport 53 -j ACCEPT"},
			want:  []string{"duplicate-rule: " + in + " rule 3 says again what is said by rule 1"},
		},
		"less than was said": {
			rules: []string{"-A INPUT -p tcp -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"},
			want:  []string{"redundant-rule: " + in + " rule 2 changes nothing: all its packets have met the same verdict by rule 1"},
		},
		"a mark that changes in between": {
			rules: []string{"-A INPUT -m mark --mark 0x1 -j DROP", "-A INPUT -j MARK --set-xmark 0x1/0xffffffff", "-A INPUT -m mark --mark 0x1 -j ACCEPT"},
		},
		"an unknown extension is not taken for all": {
			rules: []string{"-A INPUT -p tcp -m nonesuch --foo bar -j DROP", "-A INPUT -p tcp -j ACCEPT"},
		},
		"interfaces with the beginning of their names": {
			rules: []string{"-A INPUT -i eth+ -j DROP", "-A INPUT -i eth0 -p tcp -j ACCEPT", "-A INPUT -i wlan0 -j ACCEPT"},
			want:  []string{"accept-below-drop: " + in + " rule 2 never accepts: above it, all its packets are dropped by rule 1"},
		},
		"appended behind a last drop": {
			rules: []string{"-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "-A INPUT -j DROP", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 81 -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 82 -j ACCEPT"},
			want:  []string{"accept-below-drop: " + in + " rules 3 to 5 never accept: above them, all their packets are dropped by rule 2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := claims(Look(Subject{Rulesets: []*ruleset.Ruleset{saved(t, c.rules...)}}),
				AcceptBelowDrop, Unreachable, Shadowed, Duplicate, Redundant, NeverMatches)
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestFixMovesTheAcceptAboveTheDrop(t *testing.T) {
	rs := saved(t, "-A INPUT -i lo -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 80 -j DROP", "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT")
	list := Look(Subject{Rulesets: []*ruleset.Ruleset{rs}, Way: diagnose.Namespace{Own: true}})
	i := slices.IndexFunc(list, func(f Finding) bool { return f.Code == AcceptBelowDrop })
	if i < 0 {
		t.Fatal("not found")
	}
	want := "iptables-nft -I INPUT 2 -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT"
	if list[i].Fix != want {
		t.Errorf("fix %q, want %q", list[i].Fix, want)
	}
}

func TestChainsThatNothingJumpsTo(t *testing.T) {
	rs := saved(t, "-A BLOCK -s 192.0.2.1/32 -j DROP", "-A MAYBE -s 192.0.2.2/32 -j DROP", "-A INPUT -j MAYBE")
	got := claims(Look(Subject{Rulesets: []*ruleset.Ruleset{rs}}), UnusedChain)
	want := []string{"unused-chain: chain BLOCK (rules: 1) is in iptables-nft filter, but no jump leads there"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func number(n int) *int { return &n }

func TestConntrackFillLevel(t *testing.T) {
	for name, c := range map[string]struct {
		count, max, buckets int
		want                []Severity
	}{
		"empty":         {0, 262144, 65536, nil},
		"three fourths": {75, 100, 100, nil},
		"four fifths":   {80, 100, 100, []Severity{Medium}},
		"full":          {100, 100, 100, []Severity{High}},
		"few buckets":   {0, 1048576, 16384, []Severity{Low}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Machine{Conntrack: Conntrack{Count: number(c.count), Max: number(c.max), Buckets: number(c.buckets)}}
			var got []Severity
			for _, f := range Look(Subject{After: m}) {
				got = append(got, f.Severity)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
}

func TestCountersThatGrowAreToldWithTheirGrowth(t *testing.T) {
	rs := saved(t, "[5:300] -A INPUT -s 192.0.2.1/32 -j DROP", "[9:500] -A INPUT -j ACCEPT")
	before := Count([]*ruleset.Ruleset{rs})
	rs = saved(t, "[12:700] -A INPUT -s 192.0.2.1/32 -j DROP", "[90:5000] -A INPUT -j ACCEPT")
	list := Look(Subject{Rulesets: []*ruleset.Ruleset{rs}, Before: &Machine{}, After: &Machine{}, Between: time.Second, Counters: before})
	got := claims(list, DropsGrow)
	want := []string{"drop-counter-grows: iptables-nft filter INPUT rule 1 drops now: 7 packets in 1s, 12 since it was made"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestConntrackStatistics(t *testing.T) {
	got := summed(table.Stats{
		{ID: 0, Drop: 16, InsertFailed: 2, Invalid: 10},
		{ID: 1, Drop: 1, EarlyDrop: 4, InsertFailed: 3, Invalid: 1, ChainTooLong: 6},
	})
	want := ConntrackStats{Known: true, Drop: 17, EarlyDrop: 4, InsertFailed: 5, Invalid: 11, ChainTooLong: 6}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	grown := conntrackGrowth(ConntrackStats{Known: true}, got, time.Second)
	if !slices.ContainsFunc(grown, func(f Finding) bool { return strings.Contains(f.Message, "chaintoolong grows") }) {
		t.Errorf("chaintoolong is not seen to grow: %+v", grown)
	}
}

// The two ways to the kernel's counters agree, where both are open.
func TestConntrackStatisticsByNetlink(t *testing.T) {
	proc, err := statsBy(false)
	if errors.Is(err, table.ErrNoConntrack) || !ctnetlink() {
		t.Skip("this kernel has one of the two at the most")
	}
	if err != nil {
		t.Fatal(err)
	}
	asked, err := statsBy(true)
	if errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil || len(asked) == 0 || len(asked) > len(proc) {
		t.Errorf("%d CPUs by netlink, %d in /proc: %v", len(asked), len(proc), err)
	}
}

func TestForwardingThatIsOff(t *testing.T) {
	nat := func(rules ...string) []*ruleset.Ruleset {
		text := "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n" + strings.Join(rules, "\n") + "\nCOMMIT\n"
		rs, err := iptables.Parse(strings.NewReader(text), iptables.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return []*ruleset.Ruleset{rs}
	}
	off := &Machine{Forwarding: number(0)}
	for name, c := range map[string]struct {
		rules   []*ruleset.Ruleset
		machine *Machine
		want    bool
	}{
		"masquerade":                     {nat("-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"), off, true},
		"to another machine":             {nat("-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.9:8080"), off, true},
		"to this machine":                {nat("-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080"), off, false},
		"forwarding is on":               {nat("-A POSTROUTING -j MASQUERADE"), &Machine{Forwarding: number(1)}, false},
		"on for an interface":            {nat("-A POSTROUTING -j MASQUERADE"), &Machine{Forwarding: number(0), SomeForward: true}, false},
		"rules at forward prove nothing": {[]*ruleset.Ruleset{saved(t, "-A FORWARD -j BLOCK", "-A BLOCK -j DROP")}, off, false},
		"containers": {nil, &Machine{Forwarding: number(0), Interfaces: []Interface{
			{Name: "docker0", Index: 3, Kind: "bridge", Up: true}, {Name: "veth1", Index: 4, Kind: "veth", Up: true, Master: 3},
		}}, true},
		"a bridge with nothing on it": {nil, &Machine{Forwarding: number(0), Interfaces: []Interface{{Name: "docker0", Index: 3, Kind: "bridge", Up: true}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := claims(Look(Subject{Rulesets: c.rules, After: c.machine}), ForwardingOff)
			if len(got) > 0 != c.want {
				t.Errorf("found %q, want any: %v", got, c.want)
			}
		})
	}
}

func TestInterfacesThatAreNotThere(t *testing.T) {
	m := &Machine{Interfaces: []Interface{{Name: "lo", Index: 1}, {Name: "eth0", Index: 2}}}
	rs := saved(t, "-A INPUT -i eth0 -j ACCEPT", "-A INPUT -i eth1 -j ACCEPT", "-A INPUT -i eth+ -j ACCEPT", "-A FORWARD -i wg+ -o eth1 -j ACCEPT")
	got := claims(Look(Subject{Rulesets: []*ruleset.Ruleset{rs}, After: m}), NoInterface)
	want := []string{
		"no-such-interface: there is no interface eth1, of which rules speak (2) in iptables-nft filter INPUT",
		"no-such-interface: there is no interface wg*, of which rule speaks in iptables-nft filter FORWARD",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestBothBackends(t *testing.T) {
	nft := saved(t, "-A INPUT -p tcp -j DROP")
	legacy := saved(t, "-A INPUT -p udp -j DROP")
	legacy.Tables[0].Engine = ruleset.IPTablesLegacy
	for _, c := range legacy.Tables[0].Chains {
		c.Priority = c.Priority - 1
	}
	got := claims(Look(Subject{Rulesets: []*ruleset.Ruleset{nft, legacy}}), BothBackends)
	want := []string{"both-backends: iptables-legacy and nf_tables both have ip rules at input: a packet must pass both, and iptables-legacy filter INPUT is asked first"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if got := claims(Look(Subject{Rulesets: []*ruleset.Ruleset{nft}}), BothBackends); got != nil {
		t.Errorf("of one backend: %q", got)
	}
}

func TestPoliciesThatCutTheHostOff(t *testing.T) {
	const established, lo = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -i lo -j ACCEPT"
	for name, c := range map[string]struct {
		rules []string
		want  []Code
	}{
		"neither":                 {[]string{"-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"}, []Code{NoEstablished, NoLoopback}},
		"both":                    {[]string{established, lo}, nil},
		"no loopback":             {[]string{established}, []Code{NoLoopback}},
		"no established":          {[]string{lo}, []Code{NoEstablished}},
		"in a chain of its own":   {[]string{"-A INPUT -j BLOCK", "-A BLOCK -m conntrack --ctstate ESTABLISHED -j ACCEPT", lo}, nil},
		"everything but SYN":      {[]string{"-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT", lo}, nil},
		"what is not understood":  {[]string{"-A INPUT -m nonesuch --foo -j ACCEPT", lo}, nil},
		"loopback by its address": {[]string{established, "-A INPUT -s 127.0.0.0/8 -j ACCEPT"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []Code
			for _, f := range Look(Subject{Rulesets: []*ruleset.Ruleset{saved(t, c.rules...)}}) {
				if f.Code == NoEstablished || f.Code == NoLoopback {
					got = append(got, f.Code)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
}

func TestManagersAtOdds(t *testing.T) {
	text := "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:ufw-before-input - [0:0]\n:DOCKER - [0:0]\n-A INPUT -j ufw-before-input\n-A ufw-before-input -i lo -j ACCEPT\nCOMMIT\n" +
		"*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n-A PREROUTING -j DOCKER\n-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\nCOMMIT\n"
	rs, err := iptables.Parse(strings.NewReader(text), iptables.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := claims(Look(Subject{Rulesets: []*ruleset.Ruleset{rs}}), ManagersAtOdds)
	if len(got) != 1 || !strings.Contains(got[0], "ports that Docker publishes") {
		t.Errorf("found %q", got)
	}
}
