package nstest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Lab is a host under test with a client before it and a server behind it, each in a
// namespace that `ip netns` lists.
//
// The host has 192.0.2.1 and 2001:db8::1 on eth0, 198.51.100.1 and 2001:db8:1::1 on
// eth1, and forwards. The client has .2 and ::2 of the first pair, the server of the
// second; each has one interface, eth0, and its default route by the host.
type Lab struct{ Host, Client, Server string }

// NewLab makes a lab that lives as long as the test. Its links may not be up yet.
func NewLab(tb testing.TB) *Lab {
	tb.Helper()
	id := Name("dt")
	l := &Lab{Host: id, Client: id + "c", Server: id + "s"}
	for _, name := range []string{l.Host, l.Client, l.Server} {
		Named(tb, name)
		// Link-local addresses are used at once. For seconds a router would have none to
		// ask for the neighbour of a forwarded packet with, and the packet would wait.
		write(tb, name, "ipv6/conf/default/accept_dad", "0")
	}
	batch(tb, "", fmt.Sprintf(`
link add eth0 netns %[1]s type veth peer name eth0 netns %[2]s
link add eth1 netns %[1]s type veth peer name eth0 netns %[3]s
`, l.Host, l.Client, l.Server))
	batch(tb, l.Host, `
link set lo up
link set eth0 up
link set eth1 up
addr add 192.0.2.1/24 dev eth0
addr add 198.51.100.1/24 dev eth1
addr add 2001:db8::1/64 dev eth0 nodad
addr add 2001:db8:1::1/64 dev eth1 nodad
`)
	batch(tb, l.Client, `
link set eth0 up
addr add 192.0.2.2/24 dev eth0
addr add 2001:db8::2/64 dev eth0 nodad
route add default via 192.0.2.1
route add default via 2001:db8::1
`)
	batch(tb, l.Server, `
link set eth0 up
addr add 198.51.100.2/24 dev eth0
addr add 2001:db8:1::2/64 dev eth0 nodad
route add default via 198.51.100.1
route add default via 2001:db8:1::1
`)
	for _, key := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		write(tb, l.Host, key, "1")
	}
	return l
}

// batch runs commands of ip in a namespace that it lists, in this one for "".
func batch(tb testing.TB, name, commands string) {
	tb.Helper()
	args := []string{"-batch", "-"}
	if name != "" {
		args = append([]string{"-n", name}, args...)
	}
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(commands)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("ip %s: %v\n%s%s", strings.Join(args, " "), err, out, commands)
	}
}

// write sets a key of /proc/sys/net inside a namespace.
func write(tb testing.TB, name, key, value string) {
	tb.Helper()
	err := Within(name, func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
	if err != nil {
		tb.Fatal(err)
	}
}
