package integration

import (
	"net"
	"slices"
	"strconv"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// TestSegmentsWithoutRoute: TCP hands them to IP, which frees them before it has given
// them a header. The kernel's count of packets without a route is the truth.
func TestSegmentsWithoutRoute(t *testing.T) {
	nstest.NotOnKernel(t, "6.1", "covered by 5.10 and 6.12")
	nstest.NotWithPlan(t, "fentry", "probe-independent")
	const port = 8002
	l := newLab(t)
	l.ready(t)
	var connections []net.Conn
	for _, ip := range []string{clientIP, clientIP6} {
		address := net.JoinHostPort(ip, strconv.Itoa(port))
		within(t, l.client, func() error {
			listener, err := net.Listen("tcp", address)
			if err == nil {
				t.Cleanup(func() { listener.Close() })
			}
			return err
		})
		within(t, l.host, func() error {
			c, err := net.DialTimeout("tcp", address, limit)
			if err == nil {
				t.Cleanup(func() { c.Close() })
				connections = append(connections, c)
			}
			return err
		})
	}
	r := start(t, []*lab{l}, "--port", strconv.Itoa(port), "tcp dst port 8002 and (host 192.0.2.2 or ip6 host 2001:db8::2)")
	configure(t, l.host, "route del 192.0.2.0/24 dev eth0\nroute del 2001:db8::/64 dev eth0\n")
	for _, c := range connections {
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	of := func(drops []drop.Drop, family string) (number int) {
		for _, d := range drops {
			if d.Packet.Family == family {
				number++
			}
		}
		return number
	}
	eventually(t, "segments are dropped", func() bool {
		drops := r.told(t)
		explained := slices.DeleteFunc(slices.Clone(drops), func(d drop.Drop) bool { return len(d.Why) == 0 })
		return of(drops, "ip") >= 2 && of(drops, "ip6") >= 2 && of(explained, "ip") > 0 && of(explained, "ip6") > 0
	})
	least := mib(t, l.host, "snmp", "Ip:", "OutNoRoutes")
	drops := r.stop(t)
	if most := mib(t, l.host, "snmp", "Ip:", "OutNoRoutes"); of(drops, "ip") < least || of(drops, "ip") > most {
		t.Errorf("%d told, the kernel counted %d to %d", of(drops, "ip"), least, most)
	}
	for _, d := range drops {
		p := d.Packet
		if p.Protocol != "tcp" || p.DestinationPort == nil || *p.DestinationPort != port || *p.PayloadLength != len("hello") ||
			p.Source.String() != hostIP && p.Source.String() != hostIP6 {
			t.Fatalf("%s", show([]drop.Drop{d}))
		}
		// None where a slow machine has spent the time that causes may take.
		if len(d.Why) > 1 || len(d.Why) == 1 && d.Why[0].Code != "no-route" {
			t.Fatalf("%+v", d.Why)
		}
	}
}
