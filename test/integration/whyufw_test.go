package integration

import (
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

func TestWhyUFW(t *testing.T) {
	nstest.NotInGuests(t, "kernel-independent")
	managers(t, "ufw")
	ufw := func(commands ...string) func(*testing.T, *lab) {
		return func(t *testing.T, l *lab) {
			t.Helper()
			ufwEtc(t, l.host)
			for _, c := range append([]string{"ufw --force enable"}, commands...) {
				command(t, "", "ip", "netns", "exec", l.host, "sh", "-c", c)
			}
		}
	}
	proveAll(t, []proof{
		{
			name: "default deny", packet: packet{port: 6401}, prepare: ufw("ufw allow 22/tcp"), listens: true,
			code: "listening-not-allowed", message: "ufw's INPUT policy",
			fix: "ufw allow proto udp from 192.0.2.2 to any port 6401",
		},
		{
			name: "default deny, IPv6", packet: packet{port: 6402, to: hostIP6}, prepare: ufw(), listens: true,
			code: "listening-not-allowed", message: "ufw's INPUT policy",
			fix: "ufw allow proto udp from 2001:db8::2 to any port 6402",
		},
		{
			name: "source", packet: packet{port: 6403}, prepare: ufw("ufw allow proto udp from 10.0.0.0/8 to any port 6403"),
			code: "source-too-narrow", message: "ufw's ufw-user-input rule 1 accepts udp 6403 only from 10.0.0.0/8",
			fix: "ufw allow proto udp from 192.0.2.2 to any port 6403",
		},
		{
			name: "allow below deny", packet: packet{port: 6404}, prepare: ufw("ufw deny 6404/udp", "ufw allow proto udp from 192.0.2.0/24 to any port 6404"),
			code: "accept-below-drop", message: "ufw's ufw-user-input rule 2 would accept it, but stands below ufw's ufw-user-input rule 1",
			fix: "ufw prepend allow proto udp from 192.0.2.2 to any port 6404",
		},
		{
			name: "route", packet: packet{port: 6405, to: serverIP}, prepare: ufw(),
			code: "forward-dropped", message: "ufw's FORWARD policy",
			fix: "ufw route allow proto udp from 192.0.2.2 to 198.51.100.2 port 6405",
		},
	})
}
