package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// privateEtc gives a namespace its own copy of a directory of /etc: ip netns exec
// mounts what is in /etc/netns over /etc.
func privateEtc(t *testing.T, ns, name string) {
	t.Helper()
	dir := filepath.Join("/etc/netns", ns)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		_ = os.Remove("/etc/netns") // unless somebody else has one
	})
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "", "cp", "-a", filepath.Join("/etc", name), dir)
}

// managers fails where a firewall manager is missing, or the Python it is written in.
func managers(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range append(programs, "python3") {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is not installed: scripts/install-deps test", name)
		}
	}
}

func TestWhyUFW(t *testing.T) {
	managers(t, "ufw")
	ufw := func(commands ...string) func(*testing.T, *lab) {
		return func(t *testing.T, l *lab) {
			t.Helper()
			privateEtc(t, l.host, "ufw")
			for _, c := range append([]string{"ufw --force enable"}, commands...) {
				command(t, "", "ip", "netns", "exec", l.host, "sh", "-c", c)
			}
		}
	}
	proveAll(t, []proof{
		{
			name: "default deny", packet: packet{port: 6401}, prepare: ufw("ufw allow 22/tcp"), listens: true,
			code: "listening-not-allowed", message: "ufw's policy of INPUT",
			fix: "ufw allow proto udp from 192.0.2.2 to any port 6401",
		},
		{
			name: "default deny, IPv6", packet: packet{port: 6402, to: hostIP6}, prepare: ufw(), listens: true,
			code: "listening-not-allowed", message: "ufw's policy of INPUT",
			fix: "ufw allow proto udp from 2001:db8::2 to any port 6402",
		},
		{
			name: "source", packet: packet{port: 6403}, prepare: ufw("ufw allow proto udp from 10.0.0.0/8 to any port 6403"),
			code: "source-too-narrow", message: "ufw's rule 1 of ufw-user-input accepts udp 6403 only from 10.0.0.0/8",
			fix: "ufw allow proto udp from 192.0.2.2 to any port 6403",
		},
		{
			name: "allow below deny", packet: packet{port: 6404}, prepare: ufw("ufw deny 6404/udp", "ufw allow proto udp from 192.0.2.0/24 to any port 6404"),
			code: "accept-below-drop", message: "ufw's rule 2 of ufw-user-input would accept it, but stands below ufw's rule 1 of ufw-user-input",
			fix: "ufw prepend allow proto udp from 192.0.2.2 to any port 6404",
		},
		{
			name: "route", packet: packet{port: 6405, to: serverIP}, prepare: ufw(),
			code: "forward-dropped", message: "ufw's policy of FORWARD",
			fix: "ufw route allow proto udp from 192.0.2.2 to 198.51.100.2 port 6405",
		},
	})
}
