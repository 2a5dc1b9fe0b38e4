package machine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

// counted reads a folder like /proc/net.
func counted(t *testing.T, files map[string]string) Counters {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := make(Counters)
	if err := c.readProc(dir); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCountersThatGrew(t *testing.T) {
	before := counted(t, map[string]string{
		"snmp":                      "Ip: Forwarding InDiscards OutRequests\nIp: 1 2 3\nIcmp: InEchos OutEchoReps\nIcmp: 10 10\n",
		"netstat":                   "TcpExt: ListenDrops TCPPureAcks\nTcpExt: 0 7\n",
		"snmp6":                     "Ip6InNoRoutes \t4\nIcmp6InEchos\t1\nIcmp6OutEchoReplies\t1\n",
		"dev":                       "Inter-| Receive\n face |bytes\n  eth0: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
		"softnet_stat":              "0000000a 00000001 0 0 0 0 0 0 0 0 00000000 0 0\n0000000a 00000001 0 0 0 0 0 0 0 0 00000000 0 0\n",
		"netfilter/nfnetlink_queue": "    7  4711     0 2 65531     1     2       9  1\n",
	})
	after := counted(t, map[string]string{
		"snmp":                      "Ip: Forwarding InDiscards OutRequests\nIp: 2 5 90\nIcmp: InEchos OutEchoReps\nIcmp: 15 11\n",
		"netstat":                   "TcpExt: ListenDrops TCPPureAcks\nTcpExt: 1 70\n",
		"snmp6":                     "Ip6InNoRoutes \t4\nIcmp6InEchos\t6\nIcmp6OutEchoReplies\t6\n",
		"dev":                       "Inter-| Receive\n face |bytes\n  eth0: 9 9 0 20 0 0 0 0 9 9 0 0 0 0 0 0\n eth1: 9 9 9 9 0 0 0 0 9 9 0 0 0 0 0 0\n",
		"softnet_stat":              "0000000a 00000001 0 0 0 0 0 0 0 0 00000000 0 0\n0000000a 00000011 0 0 0 0 0 0 0 0 00000000 0 0\n",
		"netfilter/nfnetlink_queue": "    7  4711     0 2 65531     3     2       9  1\n",
	})
	want := []Growth{
		{Name: "eth0 rx dropped", Count: 20}, {Name: "softnet dropped", Count: 16}, {Name: "IcmpInEchos", Count: 4},
		{Name: "IpInDiscards", Count: 3}, {Name: "nfqueue 7 full", Count: 2}, {Name: "TcpExtListenDrops", Count: 1},
	}
	got := after.Since(before)
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i, g := range got {
		if g.Name != want[i].Name || g.Count != want[i].Count || g.Words == "" {
			t.Errorf("%d: got %d %s (%q), want %d %s", i, g.Count, g.Name, g.Words, want[i].Count, want[i].Name)
		}
		if g.Whole != (g.Name == "softnet dropped") {
			t.Errorf("%s: of the whole machine: %v", g.Name, g.Whole)
		}
	}
	if quiet := before.Since(before); len(quiet) > 0 {
		t.Errorf("nothing grew: %v", quiet)
	}
}

// The names are this kernel's own: one that it does not know is misspelt, or of
// another kernel.
func TestCountersAreTheKernels(t *testing.T) {
	nstest.SkipUnprivileged(t)
	c, err := ReadCounters()
	if err != nil {
		t.Fatal(err)
	}
	newer := map[string]bool{"TcpExtTCPAORequired": true, "TcpExtTCPAOBad": true, "TcpExtTCPAOKeyNotFound": true, "TcpExtTCPMinTTLDrop": true}
	for name := range mibWords {
		if _, ok := c[name]; !ok && !newer[name] {
			t.Errorf("the kernel has no counter %s", name)
		}
	}
	if _, ok := c["lo rx dropped"]; !ok {
		t.Error("loopback is not counted")
	}
}
