package integration

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

// finding is what the test reads of doctor's.
type finding struct{ Code, Severity, Message, Fix string }

// doctor looks at the lab's host and returns findings and exit code.
func doctor(t *testing.T, l *lab) ([]finding, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, droptrace, "doctor", "--netns", l.host, "--json", "--wait", "0")
	out, err := cmd.Output()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var e struct{ Findings []finding }
	if err := json.Unmarshal(out, &e); err != nil {
		t.Fatalf("doctor: %v in %q", err, out)
	}
	return e.Findings, code
}

func TestDoctorFindsNothingInASoundFirewall(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	l := newLab(t)
	l.ready(t)
	for _, s := range nft(`table inet fw {
	chain in { type filter hook input priority 0; policy drop;
		ct state established,related accept
		iif "lo" accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		tcp dport { 22, 80 } accept
		ip saddr 192.0.2.0/24 udp dport 53 accept
	}
}`) {
		s.load(t, l.host)
	}
	if found, code := doctor(t, l); code != 0 || len(found) != 0 {
		t.Errorf("exit code %d, findings %+v", code, found)
	}
}

// TestDoctorsFixLetsThePacketThrough: what doctor says of a rule is true of the
// kernel's rules, before its fix and after it.
func TestDoctorsFixLetsThePacketThrough(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	const tables = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" +
		"-A INPUT -p udp -m udp --dport 2301:2309 -j DROP\n-A INPUT -s 192.0.2.0/24 -p udp -m udp --dport 2301 -j ACCEPT\nCOMMIT\n"
	for name, sets := range map[string][]ruleset{
		"iptables-nft":    {{"iptables-nft", tables}},
		"iptables-legacy": legacy(tables),
		"nftables": nft("table inet f {\nchain in { type filter hook input priority 0; policy accept;\n" +
			"udp dport 2301-2309 counter drop\nip saddr 192.0.2.0/24 udp dport { 2301, 2302 } accept\n}\n}"),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.ready(t)
			sets[0].load(t, l.host)
			found, code := doctor(t, l)
			i := slices.IndexFunc(found, func(f finding) bool { return f.Code == "accept-below-drop" })
			if i < 0 || code != 3 || found[i].Severity != "high" || found[i].Fix == "" {
				t.Fatalf("exit code %d, findings %+v", code, found)
			}
			p := packet{port: 2301}
			before := dropCounts(t, l, sets)
			p.send(t, l)
			if len(moved(before, dropCounts(t, l, sets))) != 1 {
				t.Error("the rule above did not drop what the one below accepts")
			}
			command(t, "", "sh", "-c", found[i].Fix)
			before = dropCounts(t, l, sets)
			p.send(t, l)
			if got := moved(before, dropCounts(t, l, sets)); len(got) != 0 {
				t.Errorf("after %q still dropped by %v", found[i].Fix, got)
			}
		})
	}
}

func TestDoctorFindsWhatCutsTheHostOff(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	l := newLab(t)
	l.ready(t)
	for _, s := range nft("table inet f {\nchain in { type filter hook input priority 0; policy drop;\niifname \"eth7\" accept\ntcp dport 22 accept\n}\n}") {
		s.load(t, l.host)
	}
	found, code := doctor(t, l)
	var codes []string
	for _, f := range found {
		codes = append(codes, f.Code)
	}
	slices.Sort(codes)
	want := []string{"no-established-accept", "no-established-accept", "no-loopback-accept", "no-loopback-accept", "no-such-interface"}
	if code != 3 || !slices.Equal(codes, want) {
		t.Errorf("exit code %d, found %q, want %q", code, codes, want)
	}
}
