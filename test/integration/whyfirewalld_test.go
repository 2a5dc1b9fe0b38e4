package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
		_ = cmd.Process.Signal(os.Interrupt)
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
	privateEtc(t, l.host, "firewalld")
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
	managers(t, "firewalld", "dbus-daemon")
	proveAll(t, []proof{{
		name: "zone", packet: packet{port: 6501}, listens: true,
		prepare: func(t *testing.T, l *lab) { firewalld(t, l) },
		code:    "listening-not-allowed", message: "firewalld's rule",
		fix: `firewall-cmd --zone=public '--add-rich-rule=rule family="ipv4" source address="192.0.2.2" port port="6501" protocol="udp" accept'`,
	}})
}

func TestWhyFirewalldZoneOfInterface(t *testing.T) {
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
