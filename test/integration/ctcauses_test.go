package integration

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
)

// counter reads the packets of a named counter of nftables.
func counter(t *testing.T, ns, table, name string) int {
	t.Helper()
	text := command(t, "", "ip", "netns", "exec", ns, "nft", "list", "counter", "ip", table, name)
	_, digits, _ := strings.Cut(text, "packets ")
	digits, _, _ = strings.Cut(digits, " ")
	return int(parse(t, digits))
}

// told waits until droptrace has told so many failures.
func (f *failing) told(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("droptrace has told %d failures", n), func() bool {
		return bytes.Count(f.stdout.bytes(), []byte(`"conntrack_failure"`)) >= n
	})
}

// TestConntrackNATInterfaceChanged: the route changes under a masqueraded flow.
// NAT kills its entry and the packet with it; no counter of conntrack moves.
func TestConntrackNATInterfaceChanged(t *testing.T) {
	l := newLab(t)
	command(t, "link add eth2 netns "+l.host+" type veth peer name eth1 netns "+l.server+"\n", "ip", "-batch", "-")
	configure(t, l.host, "link set eth2 up\naddr add 203.0.113.1/24 dev eth2\n")
	configure(t, l.server, "link set eth1 up\naddr add 203.0.113.2/24 dev eth1\n")
	rules(t, l.host, `table ip nat {
counter came {}
chain before { type filter hook postrouting priority 90; udp dport 9999 counter name came
}
chain post { type nat hook postrouting priority 100; udp dport 9999 masquerade
}
}
`)
	rules(t, l.server, `table ip f {
counter came {}
chain pre { type filter hook prerouting priority -300; udp dport 9999 counter name came drop
}
}
`)
	l.ready(t)
	f := startConntrack(t, l.host)
	r := start(t, []*lab{l}, "--port", "9999")
	came := func(n int) {
		udpFrom(t, l.client, 1000, serverIP, 9999)
		eventually(t, "the packet has come", func() bool { return counter(t, l.host, "nat", "came") == n })
	}
	came(1)
	configure(t, l.host, "route add "+serverIP+"/32 via 203.0.113.2 dev eth2\n")
	came(2)
	came(3)
	eventually(t, "the third came through", func() bool { return counter(t, l.server, "f", "came") == 2 })
	f.told(t, 1)
	drops := r.stop(t)
	if len(drops) != 1 || drops[0].Cause != "hook" || !strings.HasPrefix(drops[0].Function, "nf_nat_") ||
		len(drops[0].Why) != 1 || drops[0].Why[0].Code != "conntrack-nat-interface-changed" {
		t.Errorf("the live command:\n%s", show(drops))
	}
	list := f.stop(t)
	if len(list) != 1 || list[0].Failure.Cause != drop.CauseNATInterfaceChanged || !list[0].Lost {
		t.Fatalf("want one packet that NAT killed:\n%s", showFailures(list))
	}
	c := &list[0]
	// Not every kernel's frame tells which of the hooks dropped.
	if c.Failure.Certainty != "certain" && !strings.Contains(c.Failure.Note, "which hook") {
		t.Errorf("%+v", c.Failure)
	}
	if c.Hook != "postrouting" || c.Out == nil || c.Out.Name != "eth2" {
		t.Errorf("at %s, out %v\n%s", c.Hook, c.Out, showFailures(list))
	}
}

// TestConntrackHelper: half a command of FTP. The helper cannot tell the address
// in it and drops the packet; no counter of conntrack moves.
func TestConntrackHelper(t *testing.T) {
	l := newLab(t)
	const half = "PORT 192,0,2,2,4,"
	length := strconv.Itoa(20 + 32 + len(half)) // of the packet, with TCP's timestamps
	rules(t, l.host, `table ip f {
counter came {}
ct helper ftp { type "ftp" protocol tcp; }
chain pre { type filter hook prerouting priority 0; tcp dport 21 ct helper set "ftp"
}
chain post { type filter hook postrouting priority 0; tcp dport 21 ip length `+length+` counter name came
}
}
`)
	rules(t, l.server, `table ip f {
counter came {}
chain pre { type filter hook prerouting priority -300; tcp dport 21 ip length `+length+` counter name came
}
}
`)
	l.ready(t)
	var listener net.Listener
	within(t, l.server, func() (err error) {
		listener, err = net.Listen("tcp4", serverIP+":21")
		return err
	})
	defer listener.Close()
	f := startConntrack(t, l.host)
	var client net.Conn
	within(t, l.client, func() (err error) {
		client, err = net.Dial("tcp4", serverIP+":21")
		return err
	})
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	say := func(text string) {
		if _, err := client.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say("USER a\r\n") // the helper looks at lines whose begin it knows
	if _, err := server.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	say(half)
	f.told(t, 2) // and the first that is sent again
	if err := client.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	client.Close()
	lost := counter(t, l.host, "f", "came") - counter(t, l.server, "f", "came")
	f.told(t, lost)
	sums := conntrackSums(t, l.host)
	list := f.stop(t)
	if causes, n := counts(list); causes[drop.CauseHelper] != lost || n != lost || len(list) != lost {
		t.Fatalf("causes %v, %d lost, want %d\n%s", causes, n, lost, showFailures(list))
	}
	if sums["drop"] != 0 || sums["insert_failed"] != 0 {
		t.Errorf("counters moved: %v", sums)
	}
	for i := range list {
		c := &list[i]
		if c.Failure.Certainty != "certain" || c.Hook != "postrouting" {
			t.Errorf("%s at %s: %+v", c.Failure.Certainty, c.Hook, c.Failure)
		}
		if f.probes && hasKprobes() && !strings.Contains(c.Failure.Reason, "partial matching") {
			t.Errorf("reason %q, want the helper's own words", c.Failure.Reason)
		}
	}
}

// unloads reports whether the kernel refuses entries that are on their way into
// the table while a helper is unloaded: it did until extensions lost their
// generation (gen_id of struct nf_ct_ext), in 6.12's updates.
func unloads() bool { return linux510() || strings.HasPrefix(release(), "6.1.") }

// TestGuestConntrackDying: a helper's module goes while packets stand between the
// place where they got their entry and the one where it goes into the table.
func TestGuestConntrackDying(t *testing.T) {
	guest(t)
	if !unloads() {
		return
	}
	l := newLab(t)
	longWay(t, l.host, 2000)
	within(t, l.host, func() error { // an extension, which has a generation
		return os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_acct", []byte("1"), 0)
	})
	rules(t, l.server, "table ip f {\nchain input { type filter hook input priority 0; drop\n}\n}\n")
	l.ready(t)
	f := startConntrack(t, l.host)
	stop := pour(t, l.host, func(n uint16) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, to := address(serverIP, 1024+n%60000)
		if err := unix.Sendto(fd, []byte("x"), 0, to); err != nil && err != unix.EPERM {
			return err
		}
		return nil
	})
	module, err := os.Open("/lib/modules/" + release() + "/kernel/net/netfilter/nf_conntrack_tftp.ko")
	if err != nil {
		t.Fatal(err)
	}
	defer module.Close()
	eventually(t, "the module went while a packet was on its way", func() bool {
		if err := unix.FinitModule(int(module.Fd()), "", 0); err != nil {
			t.Fatalf("load the module: %v", err)
		}
		if err := unix.DeleteModule("nf_conntrack_tftp", unix.O_NONBLOCK); err != nil {
			t.Fatalf("unload the module: %v", err)
		}
		return conntrackSums(t, l.host)["insert_failed"] > 0
	})
	stop()
	sums := settled(t, l.host)
	list := f.stop(t)
	f.addsUp(t, list, sums)
	causes, lost := counts(list)
	t.Logf("causes %v, kernel %v", causes, sums)
	if causes[drop.CauseDying] != sums["insert_failed"]+sums["drop"] || lost != len(list) {
		t.Fatalf("causes %v, %d lost, the kernel counted %v\n%s", causes, lost, sums, showFailures(list))
	}
	for i := range list {
		if c := &list[i]; c.Failure.Certainty != "certain" && c.Failure.Note == "" {
			t.Errorf("%s: %s", c.Failure.Certainty, showFailures(list[i:i+1]))
		}
	}
}
