package integration

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/test/nstest"
)

// busConfig is a D-Bus of a test's own that lets everybody do everything.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=%PATH%</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/></policy></busconfig>`

// background runs a program until the test ends.
func background(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
	})
}

// firewalld runs in a namespace, on a bus that the environment leads to, as
// firewall-cmd's has to.
func firewalld(t *testing.T, l *lab, commands ...string) {
	t.Helper()
	dir := t.TempDir()
	bus := filepath.Join(dir, "bus")
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(busConfig, "%PATH%", bus)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+bus)
	firewalldEtc(t, l.host)
	background(t, "dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile")
	eventually(t, "the bus is there", func() bool { _, err := os.Stat(bus); return err == nil })
	background(t, "ip", "netns", "exec", l.host, "firewalld", "--nofork", "--nopid", "--log-file", filepath.Join(dir, "log"))
	eventually(t, "firewalld runs", func() bool {
		return exec.Command("ip", "netns", "exec", l.host, "firewall-cmd", "--state").Run() == nil
	})
	for _, c := range commands {
		command(t, "", "ip", "netns", "exec", l.host, "sh", "-c", c)
	}
}

func TestWhyFirewalld(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	managers(t, "firewalld", "dbus-daemon")
	proveAll(t, []proof{{
		name: "zone", packet: packet{port: 6501}, listens: true,
		prepare: func(t *testing.T, l *lab) { firewalld(t, l) },
		code:    "listening-not-allowed", message: "firewalld's filter_",
		fix: `firewall-cmd --zone=public '--add-rich-rule=rule family="ipv4" source address="192.0.2.2" port port="6501" protocol="udp" accept'`,
	}})
}

func TestWhyFirewalldZoneOfInterface(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	managers(t, "firewalld", "dbus-daemon")
	proveAll(t, []proof{{
		name: "source", packet: packet{port: 6502, to: hostIP6},
		prepare: func(t *testing.T, l *lab) {
			firewalld(t, l, "firewall-cmd --zone=internal --change-interface=eth0",
				`firewall-cmd --zone=internal --add-rich-rule='rule family="ipv6" source address="2001:db8::/127" port port="6502" protocol="udp" accept'`)
		},
		code: "source-too-narrow", message: "only from 2001:db8::/127, and it came from 2001:db8::2",
		fix: `firewall-cmd --zone=internal '--add-rich-rule=rule family="ipv6" source address="2001:db8::2" port port="6502" protocol="udp" accept'`,
	}})
}

// TestWhyFirewalldForward is of what is on its way to somebody else. In the default
// zone is also what no zone was given, and of that its policies know nothing.
func TestWhyFirewalldForward(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	proveNewPolicy(t, "ANY")
}

func TestWhyFirewalldForwardFromZone(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	proveNewPolicy(t, "internal", "firewall-cmd --zone=internal --change-interface=eth0",
		"firewall-cmd --runtime-to-permanent")
}

// proveNewPolicy is of a firewall with no policy between zones.
func proveNewPolicy(t *testing.T, ingress string, setup ...string) {
	t.Helper()
	managers(t, "firewalld", "dbus-daemon")
	const policy = "NETNS firewall-cmd --permanent --policy=allow-udp-6503 "
	proveAll(t, []proof{{
		name: "no policy", packet: packet{port: 6503, to: serverIP},
		prepare: func(t *testing.T, l *lab) { firewalld(t, l, setup...) },
		code:    "forward-dropped", message: "firewalld's filter_",
		fix: "firewall-cmd --permanent --new-policy=allow-udp-6503 && " +
			policy + "--add-ingress-zone=" + ingress + " && " + policy + "--add-egress-zone=ANY && " +
			policy + `'--add-rich-rule=rule family="ipv4" source address="192.0.2.2" destination address="198.51.100.2" ` +
			`port port="6503" protocol="udp" accept' && NETNS firewall-cmd --reload`,
	}})
}

func TestWhyFirewalldPolicy(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	managers(t, "firewalld", "dbus-daemon")
	proveAll(t, []proof{{
		name: "policy", packet: packet{port: 6504, to: serverIP6},
		prepare: func(t *testing.T, l *lab) {
			firewalld(t, l, "firewall-cmd --permanent --new-policy=web",
				"firewall-cmd --permanent --policy=web --add-ingress-zone=ANY", "firewall-cmd --permanent --policy=web --add-egress-zone=ANY",
				"firewall-cmd --reload")
		},
		code: "forward-dropped", message: "firewalld's filter_",
		fix: `firewall-cmd --policy=web '--add-rich-rule=rule family="ipv6" source address="2001:db8::2" destination address="2001:db8:1::2" port port="6504" protocol="udp" accept'`,
	}})
}

// TestWhyFirewalldPing is of a zone that drops all, ICMP too.
func TestWhyFirewalldPing(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	managers(t, "firewalld", "dbus-daemon")
	provePing(t, "firewall-cmd --zone=drop --change-interface=eth0", "policy-drop-no-accept",
		`firewall-cmd --zone=drop '--add-rich-rule=rule family="ipv4" source address="192.0.2.2" icmp-type name="echo-request" accept'`)
}

func TestWhyFirewalldBlocksPings(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	managers(t, "firewalld", "dbus-daemon")
	provePing(t, "firewall-cmd --zone=public --add-icmp-block=echo-request", "icmp-blocked",
		"firewall-cmd --zone=public --remove-icmp-block=echo-request")
}

// provePing has firewalld drop pings, and the fix let them through.
func provePing(t *testing.T, setup, code, fix string) {
	t.Helper()
	l := newLab(t)
	l.ready(t)
	firewalld(t, l, setup)
	trace := start(t, []*lab{l})
	var drops []drop.Drop
	eventually(t, "a drop is told with its cause", func() bool {
		if pings(t, l.client, hostIP) {
			t.Fatal("the ping is answered before the fix")
		}
		for _, d := range of(trace.drops(t), l.host) {
			if d.Packet.Protocol == "icmp" {
				drops = append(drops, d)
			}
		}
		return trace.mayNotKnow() || causesOf(drops) != nil
	})
	trace.stop(t)
	if trace.mayNotKnow() {
		return
	}
	w := causesOf(drops)[0]
	if w.Code != code || w.Fix != "ip netns exec "+l.host+" "+fix {
		t.Fatalf("%s, fix %q, want %s, %q", w.Code, w.Fix, code, fix)
	}
	command(t, "", "sh", "-c", w.Fix)
	if !pings(t, l.client, hostIP) {
		t.Error("the ping is not answered after the fix")
	}
}

// pings sends one echo request and waits a moment for its answer.
func pings(t *testing.T, ns, to string) (answered bool) {
	t.Helper()
	within(t, ns, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		wait := unix.Timeval{Usec: 300_000}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
			return err
		}
		// Type 8, and the checksum of just that.
		if err := unix.Sendto(fd, []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}, 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(to).As4()}); err != nil {
			return err
		}
		answer := make([]byte, 64)
		for {
			n, err := unix.Read(fd, answer)
			if errors.Is(err, unix.EAGAIN) {
				return nil
			}
			if err != nil {
				return err
			}
			if answered = n > 20 && answer[20] == 0; answered {
				return nil
			}
		}
	})
	return answered
}
