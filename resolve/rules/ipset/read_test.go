package ipset

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"go.uber.org/goleak"

	"github.com/droptrace/droptrace/test/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// namespace is one with sets.
type namespace struct{ *nstest.Namespace }

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	return &namespace{nstest.New(t)}
}

// restore loads sets with the real program.
func (n *namespace) restore(t testing.TB, input string) {
	t.Helper()
	n.Run(t, input, "ipset", "restore")
}

// describe lists a set's elements as ranges of hexadecimal.
func describe(s *Set) string {
	var b strings.Builder
	for _, e := range s.Elements {
		fmt.Fprintf(&b, "%s-%s ", hex.EncodeToString(e.From), hex.EncodeToString(e.To))
	}
	return strings.TrimSpace(b.String())
}

func TestElementsOfEveryType(t *testing.T) {
	for _, tt := range []struct {
		name, input, want string
	}{
		{"addresses", "create s hash:ip\nadd s 10.0.0.1\nadd s 10.0.0.9", "0a000001-0a000001 0a000009-0a000009"},
		{"addresses with a netmask", "create s hash:ip netmask 24\nadd s 10.0.0.1", "0a000000-0a0000ff"},
		{"IPv6 addresses", "create s hash:ip family inet6\nadd s 2001:db8::1",
			"20010db8000000000000000000000001-20010db8000000000000000000000001"},
		{"networks", "create s hash:net\nadd s 10.0.0.0/8\nadd s 192.168.1.0/24",
			"0a000000-0affffff c0a80100-c0a801ff"},
		{"networks with holes", "create s hash:net\nadd s 10.0.0.0/8\nadd s 10.1.0.0/16 nomatch\nadd s 10.1.2.0/24",
			"0a000000-0a00ffff 0a010200-0a0102ff 0a020000-0affffff"},
		{"a hole at the end", "create s hash:net\nadd s 255.0.0.0/8\nadd s 255.255.0.0/16 nomatch",
			"ff000000-fffeffff"},
		{"a hole at the begin", "create s hash:net\nadd s 10.0.0.0/8\nadd s 10.0.0.0/9 nomatch", "0a800000-0affffff"},
		{"address and port", "create s hash:ip,port\nadd s 10.0.0.1,80\nadd s 10.0.0.1,udp:53\nadd s 10.0.0.1,icmp:8/0",
			"0a000001010800-0a000001010800 0a000001060050-0a000001060050 0a000001110035-0a000001110035"},
		{"network and port", "create s hash:net,port\nadd s 10.0.0.0/24,80", "0a000000060050-0a0000ff060050"},
		{"network and port with holes",
			"create s hash:net,port\nadd s 10.0.0.0/24,80\nadd s 10.0.0.0/24,81\nadd s 10.0.0.128/25,80 nomatch",
			"0a000000060050-0a00007f060050 0a000000060051-0a0000ff060051"},
		{"address, port and address", "create s hash:ip,port,ip\nadd s 10.0.0.1,80,10.0.0.2",
			"0a0000010600500a000002-0a0000010600500a000002"},
		{"address, port and network", "create s hash:ip,port,net\nadd s 10.0.0.1,80,10.0.1.0/24",
			"0a0000010600500a000100-0a0000010600500a0001ff"},
		{"network and interface", "create s hash:net,iface\nadd s 10.0.0.0/24,eth0",
			"0a00000065746830000000000000000000000000-0a0000ff65746830000000000000000000000000"},
		{"addresses by bit", "create s bitmap:ip range 10.0.0.0/24\nadd s 10.0.0.3", "0a000003-0a000003"},
		{"address and MAC", "create s bitmap:ip,mac range 10.0.0.0/24\nadd s 10.0.0.3,00:11:22:33:44:55\nadd s 10.0.0.4",
			"0a000003001122334455-0a000003001122334455 0a000004000000000000-0a000004ffffffffffff"},
		{"ports by bit", "create s bitmap:port range 0-1024\nadd s 80", "060050-060050 110050-110050"},
		{"nothing", "create s hash:ip", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNamespace(t)
			n.restore(t, tt.input+"\n")
			sets, err := Read(context.Background(), n)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(sets["s"]); got != tt.want || !sets["s"].Complete {
				t.Errorf("got  %s (complete: %v)\nwant %s", got, sets["s"].Complete, tt.want)
			}
		})
	}
}

func TestMembersOfAList(t *testing.T) {
	n := newNamespace(t)
	n.restore(t, "create a hash:ip\ncreate b hash:net\ncreate l list:set\nadd l a\nadd l b\n")
	sets, err := Read(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	if m := sets["l"].Members; len(m) != 2 || m[0] != sets["a"] || m[1] != sets["b"] {
		t.Errorf("members are %v", m)
	}
}

func TestTimeoutsAndComments(t *testing.T) {
	n := newNamespace(t)
	n.restore(t, "create s hash:ip timeout 600 comment\nadd s 10.0.0.1 timeout 300 comment \"a b\"\nadd s 10.0.0.2 timeout 0\n")
	sets, err := Read(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	e := sets["s"].Elements
	if len(e) != 2 || e[0].Comment != "a b" || e[0].Expires.Seconds() < 290 || e[0].Expires.Seconds() > 300 || e[1].Expires != 0 {
		t.Errorf("elements are %+v", e)
	}
}

func TestALargeSetComesInManyMessages(t *testing.T) {
	n := newNamespace(t)
	var input strings.Builder
	input.WriteString("create s hash:ip maxelem 100000\ncreate t hash:net\nadd t 1.0.0.0/8\n")
	for i := range 20000 {
		fmt.Fprintf(&input, "add s 10.1.%d.%d\n", i/256, i%256)
	}
	n.restore(t, input.String())
	sets, err := Read(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(sets["s"].Elements); got != 20000 || len(sets["t"].Elements) != 1 {
		t.Errorf("%d elements", got)
	}
}

func TestWhatIsNotUnderstoodLeavesTheSetIncomplete(t *testing.T) {
	n := newNamespace(t)
	n.restore(t, "create s hash:net,iface\nadd s 10.0.0.0/24,eth0\nadd s 10.0.1.0/24,physdev:eth1\n")
	sets, err := Read(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	if s := sets["s"]; s.Complete || len(s.Elements) != 0 {
		t.Errorf("got %+v", s.Set)
	}
}

func TestANamespaceWithoutSets(t *testing.T) {
	sets, err := Read(context.Background(), newNamespace(t))
	if err != nil || len(sets) != 0 {
		t.Errorf("got %v, %v", sets, err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 5, 0, 1, 0, 6, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDecoder()
		m := netlink.Message{Header: netlink.Header{Type: subsystem << 8}, Data: data}
		if d.message(m) == nil {
			d.message(m)
			d.finish()
		}
	})
}
