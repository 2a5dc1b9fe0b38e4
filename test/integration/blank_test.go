package integration

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// The kernel tries out a buffer when a device gets its NAPI. No packet is lost, and
// the first that is afterwards is shown.
func TestANewDeviceLosesNoPacket(t *testing.T) {
	nstest.NotOnKernel(t, "5.10", "its NAPI tries no buffer")
	l := newLab(t)
	nft(`table ip t { chain o { type filter hook output priority 0; udp dport 8093 counter drop; }; }`)[0].load(t, l.host)
	l.ready(t)
	trace, everything := start(t, []*lab{l}, "--no-why"), start(t, []*lab{l}, "--no-why", "--all")
	var tap *os.File
	within(t, l.host, func() (err error) {
		tap, err = openTun("tap0", unix.IFF_TAP|unix.IFF_NAPI)
		return err
	})
	defer tap.Close()
	packet{to: clientIP, port: 8093, local: true}.send(t, l)
	for _, r := range []*tracing{trace, everything} {
		eventually(t, "the packet's drop", func() bool { return len(to(r.told(t), 8093)) > 0 })
	}
	blank := func(drops []drop.Drop) (n int) {
		for _, d := range drops {
			if d.Packet.Family == "0x0000" {
				n++
			}
		}
		return n
	}
	if drops := trace.stop(t); blank(drops) > 0 {
		t.Errorf("a drop:\n%s", show(drops))
	}
	if n := blank(everything.stop(t)); n == 0 {
		t.Errorf("the kernel tried no buffer here")
	}
}
