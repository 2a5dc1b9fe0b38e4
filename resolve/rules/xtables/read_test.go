package xtables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/test/nstest"
)

func TestTablesListsWhatIsThere(t *testing.T) {
	n := newNamespace(t)
	if ids, err := Tables(n); err != nil || len(ids) != 0 {
		t.Errorf("in a new namespace: %v, %v", ids, err)
	}
	n.load(t, "ip", everyTable()["nat"])
	n.load(t, "ip6", everyTable()["raw"])
	ids, err := Tables(n)
	if err != nil || fmt.Sprint(ids) != "[{ip nat} {ip6 raw}]" {
		t.Errorf("got %v, %v", ids, err)
	}
}

func TestReadCreatesNoTable(t *testing.T) {
	n := newNamespace(t)
	before := openFiles(t)
	for _, id := range []TableID{
		{"ip", "filter"}, {"ip", "nat"}, {"ip6", "filter"}, {"ip", ""}, {"ip", strings.Repeat("x", 200)}, {"arp", "filter"},
	} {
		if b, err := Read(n, id); !errors.Is(err, ErrNoTable) {
			t.Errorf("%v: %v, %v; want ErrNoTable", id, b, err)
		}
	}
	if names := n.names(t); names != "" {
		t.Errorf("there are tables now: %q", names)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files open after, %d before", after, before)
	}
}

func TestFreshTables(t *testing.T) {
	n := newNamespace(t)
	for _, family := range []string{"ip", "ip6"} {
		for table, want := range map[string]string{
			"raw":      "PREROUTING prerouting filter -300, OUTPUT output filter -300",
			"mangle":   "PREROUTING prerouting filter -150, INPUT input filter -150, FORWARD forward filter -150, OUTPUT output route -150, POSTROUTING postrouting filter -150",
			"nat":      "PREROUTING prerouting nat -100, INPUT input nat 100, OUTPUT output nat -100, POSTROUTING postrouting nat 100",
			"filter":   "INPUT input filter 0, FORWARD forward filter 0, OUTPUT output filter 0",
			"security": "INPUT input filter 50, FORWARD forward filter 50, OUTPUT output filter 50",
		} {
			n.Run(t, "", legacyProgram(family, ""), "-t", table, "-L") // which creates it
			b := n.check(t, TableID{family, table})
			var got []string
			for _, c := range b.Table.Chains {
				got = append(got, fmt.Sprint(c.Name, " ", c.Hook, " ", c.Type, " ", c.Priority))
				if c.Policy != "accept" || len(c.Rules) != 0 || c.Table != b.Table {
					t.Errorf("%s: chain %+v", table, c)
				}
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("%s: got %s, want %s", table, strings.Join(got, ", "), want)
			}
			if b.Table.Engine != ruleset.IPTablesLegacy || b.Table.Family != family || b.Table.Name != table {
				t.Errorf("%s: table %+v", table, b.Table)
			}
		}
	}
}

func TestReadWithoutPrivilege(t *testing.T) {
	n := newNamespace(t)
	n.load(t, "ip", everyTable()["raw"])
	err := nstest.OnThread(func() error {
		// Into n, then without capabilities: what they were asked for is the
		// table, not the namespace.
		if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
			return err
		}
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return err
		}
		_, err := Read(here{}, TableID{"ip", "raw"})
		return err
	})
	if !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v, want EPERM", err)
	}
}

// here is the namespace of the calling thread.
type here struct{}

func (here) Do(fn func() error) error { return fn() }

func TestUnchanged(t *testing.T) {
	n := newNamespace(t)
	const head = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	rules := func(port string) string {
		return head + "-A INPUT -m limit --limit 1/sec -j DROP\n-A INPUT -m quota --quota 5000 -j DROP\n" +
			"-A INPUT -m statistic --mode nth --every 3 --packet 0 -j DROP\n" +
			"-A INPUT -p udp --dport " + port + " -j DROP\nCOMMIT\n"
	}
	n.load(t, "ip", rules("1000"))
	b := n.check(t, TableID{"ip", "filter"})
	for _, c := range []struct {
		rules string
		want  bool
	}{{rules("1000"), true}, {rules("1001"), false}, {rules("1000"), true}, {head + "COMMIT\n", false}} {
		n.load(t, "ip", c.rules)
		// What packets count is no change.
		n.Run(t, "", "ip", "link", "set", "lo", "up")
		n.Run(t, "", "bash", "-c", "for i in 1 2 3 4; do echo > /dev/udp/127.0.0.1/1000; done")
		if same, err := Unchanged(n, b); err != nil || same != c.want {
			t.Errorf("%s: got %v, %v; want %v", c.rules, same, err, c.want)
		}
	}
}

// A table that is swapped for another of the same size must not be read half as
// one, half as the other.
func TestReadWhileTheTableIsReplaced(t *testing.T) {
	n := newNamespace(t)
	ruleset := func(chain string) string {
		other := map[string]string{"INPUT": "OUTPUT", "OUTPUT": "INPUT"}[chain]
		return "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" +
			strings.Repeat("-A "+chain+" -s 10.0.0.1/32 -j DROP\n", 40) +
			"-A " + other + " -s 10.0.0.1/32 -j ACCEPT\nCOMMIT\n"
	}
	n.load(t, "ip", ruleset("INPUT"))
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			_, err = n.Try(ruleset([]string{"INPUT", "OUTPUT"}[i%2]), "iptables-legacy-restore")
		}
		stopped <- err
	}()
	seen := make(map[string]int)
	for len(seen) < 2 || seen["40 1"]+seen["1 40"] < 1500 {
		b, err := Read(n, TableID{"ip", "filter"})
		if errors.Is(err, ErrChanging) {
			continue
		}
		if err != nil {
			t.Error(err)
			break
		}
		seen[fmt.Sprint(len(b.Table.Chains[0].Rules), " ", len(b.Table.Chains[2].Rules))]++
		for _, e := range b.Entries {
			if e.Rule != nil && e.Drops() != (len(e.Chain.Rules) == 40) {
				t.Errorf("rule %d of %s is the other table's", e.Rule.Number, e.Chain.Name)
			}
		}
		if t.Failed() || len(seen) > 2 {
			break
		}
		runtime.Gosched()
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if len(seen) != 2 {
		t.Errorf("rules of INPUT and OUTPUT, and how often: %v", seen)
	}
}

// fakeKernel answers with one table's info and another's entries, in turn; the
// last stay.
type fakeKernel struct {
	infos   []Info
	entries [][]byte
	errs    []error // of entries
	asked   [3]int
}

func next[T any](list []T, asked *int) T {
	*asked++
	return list[min(*asked, len(list))-1]
}

func (k *fakeKernel) getsockopt(option int, buf []byte) error {
	if option == optInfo {
		_, err := binary.Encode(buf[tableNameSize:], binary.NativeEndian, next(k.infos, &k.asked[0]))
		return err
	}
	copy(buf[entriesHead:], next(k.entries, &k.asked[1]))
	return next(k.errs, &k.asked[2])
}

func TestReadTriesAgain(t *testing.T) {
	n := newNamespace(t)
	id := TableID{"ip", "filter"}
	table := func(rules string) (Info, []byte) {
		n.load(t, "ip", "*filter\n"+rules+"COMMIT\n")
		return n.rawTable(t, id)
	}
	small, smallRaw := table("-A INPUT -j DROP\n")
	a, aRaw := table("-A INPUT -j DROP\n-A INPUT -j DROP\n-A OUTPUT -j ACCEPT\n")
	b, bRaw := table("-A INPUT -j ACCEPT\n-A OUTPUT -j DROP\n-A OUTPUT -j DROP\n")
	if a.Size != b.Size || a.Number != b.Number {
		t.Fatal("the tables are not of one size")
	}
	fine, again := []error{nil}, []error{unix.EAGAIN}
	for _, tt := range []struct {
		name   string
		kernel fakeKernel
		want   Info
		err    error
	}{
		{"at rest", fakeKernel{infos: []Info{a}, entries: [][]byte{aRaw}, errs: fine}, a, nil},
		{"replaced before the entries", fakeKernel{infos: []Info{a, b}, entries: [][]byte{bRaw}, errs: fine}, b, nil},
		{"replaced behind the entries", fakeKernel{infos: []Info{a, b}, entries: [][]byte{aRaw, bRaw}, errs: fine}, b, nil},
		{"replaced there and back", fakeKernel{infos: []Info{a}, entries: [][]byte{bRaw, aRaw}, errs: fine}, a, nil},
		{
			"replaced by one of another size",
			fakeKernel{infos: []Info{small, a}, entries: [][]byte{smallRaw, aRaw}, errs: []error{unix.EAGAIN, nil}}, a, nil,
		},
		{"always another size", fakeKernel{infos: []Info{a}, entries: [][]byte{aRaw}, errs: again}, Info{}, ErrChanging},
		{"always another's entries", fakeKernel{infos: []Info{a}, entries: [][]byte{bRaw}, errs: fine}, Info{}, ErrChanging},
		{"refused", fakeKernel{infos: []Info{a}, entries: [][]byte{aRaw}, errs: []error{unix.EPERM}}, Info{}, unix.EPERM},
	} {
		got, err := read(id, tt.kernel.getsockopt)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.err)
		}
		if err == nil && got.Info != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got.Info, tt.want)
		}
	}
}

// Of all bytes of a table only those that the kernel writes to may differ.
func TestUnchangedLooksAtEveryRule(t *testing.T) {
	n := newNamespace(t)
	const rules = "*filter\n-A INPUT -s 192.0.2.1 -j DROP\n-A INPUT -p udp -m udp --dport %d -j DROP\nCOMMIT\n"
	n.load(t, "ip", fmt.Sprintf(rules, 9))
	id := TableID{"ip", "filter"}
	b, err := Read(n, id)
	if err != nil {
		t.Fatal(err)
	}
	unchanged := func(want bool, after string) {
		t.Helper()
		if same, err := Unchanged(n, b); err != nil || same != want {
			t.Errorf("%s: %v, %v", after, same, err)
		}
	}
	unchanged(true, "at once")
	n.send(t, "127.0.0.1", 9)
	unchanged(true, "a packet was counted")
	n.load(t, "ip", fmt.Sprintf(rules, 10))
	unchanged(false, "another port")
	n.load(t, "ip", fmt.Sprintf(rules, 9))
	unchanged(true, "the same rules again")

	info, raw := n.rawTable(t, id)
	for i := range raw {
		other := slices.Clone(raw)
		other[i] ^= 0x10
		e := &b.Entries[b.holding(uint32(i))]
		at, l := i-int(e.Offset), b.layout
		written := at >= l.nfcache && at < l.nfcache+4 || at >= l.comefrom && at < l.comefrom+4 || at >= l.counters && at < l.counters+16
		if b.same(info, other) != written {
			t.Fatalf("byte %d of the entry at %d: same is %v", at, e.Offset, !written)
		}
	}
	info.Underflow[1]++
	if b.same(info, raw) {
		t.Error("another end of a chain is told to be the same")
	}
}
