package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lab is three namespaces: a client and a server that speak no IP, so that they
// add no packet of their own, and the router between them. The calling thread
// stays in the router.
type lab struct {
	names  []string // client, router, server
	ifc    int      // the client's interface
	client int      // packet socket
	raw    [2]int   // raw sockets of the router, v4 and v6
}

var router = [6]byte{2, 0, 0, 0, 0, 1}

func openLab() (*lab, error) {
	l := &lab{}
	for _, n := range []string{"client", "router", "server"} {
		l.names = append(l.names, fmt.Sprintf("oracle-%s-%d", n, os.Getpid()))
	}
	os.MkdirAll("/run/netns", 0o755)
	if err := l.configure(); err != nil {
		return l, err
	}
	return l, l.sockets()
}

func (l *lab) configure() error {
	c, r, s := l.names[0], l.names[1], l.names[2]
	var b strings.Builder
	for _, n := range l.names {
		fmt.Fprintf(&b, "ip netns add %s\n", n)
	}
	fmt.Fprintf(&b, "ip link add c0 netns %s type veth peer name rc netns %s address 02:00:00:00:00:01\n", c, r)
	fmt.Fprintf(&b, "ip link add s0 netns %s type veth peer name rs netns %s address 02:00:00:00:00:02\n", s, r)
	quiet := "for k in all default; do echo 1 > /proc/sys/net/ipv6/conf/$k/disable_ipv6; done"
	fmt.Fprintf(&b, "ip netns exec %s sh -ec '%s; ip link set c0 arp off up'\n", c, quiet)
	fmt.Fprintf(&b, "ip netns exec %s sh -ec '%s; ip link set s0 arp off up'\n", s, quiet)
	fmt.Fprintf(&b, "ip netns exec %s sh -e <<'EOF'\n", r)
	for _, kv := range []string{
		"ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1", "ipv4/conf/all/rp_filter=0", "ipv4/conf/default/rp_filter=0",
		"ipv4/conf/rc/rp_filter=0", "ipv6/conf/all/accept_dad=0", "ipv6/conf/default/accept_dad=0", "ipv4/icmp_ratelimit=0",
		"ipv6/icmp/ratelimit=0", "netfilter/nf_conntrack_tcp_loose=0", "ipv6/conf/rc/accept_dad=0", "ipv6/conf/rs/accept_dad=0",
		"ipv4/icmp_msgs_per_sec=1000000", "ipv4/icmp_msgs_burst=1000000",
	} {
		k, v, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&b, "echo %s 2>/dev/null > /proc/sys/net/%s || true\n", v, k)
	}
	b.WriteString("ip link set lo up; ip link set rc up; ip link set rs up\n")
	for _, v6 := range []bool{false, true} {
		bits := map[bool]int{false: 24, true: 64}[v6]
		nodad := map[bool]string{true: "nodad"}[v6]
		fmt.Fprintf(&b, "ip addr add %s/%d dev rc %s\nip addr add %s/%d dev rs %s\n", addr(v6, 1, 1), bits, nodad, addr(v6, 2, 1), bits, nodad)
		for i := range sources {
			fmt.Fprintf(&b, "ip neigh add %s lladdr 02:00:00:00:01:00 dev rc nud permanent\n", clientAddr(v6, i))
		}
		fmt.Fprintf(&b, "ip neigh add %s lladdr 02:00:00:00:02:00 dev rs nud permanent\n", addr(v6, 2, 2))
	}
	b.WriteString("EOF\n")
	if _, err := run(b.String(), "sh", "-e"); err != nil {
		return err
	}
	_, err := run(ipsets(), "ip", "netns", "exec", r, "ipset", "restore")
	return err
}

// sockets opens the senders and leaves the thread in the router.
func (l *lab) sockets() error {
	if err := enter(l.names[0]); err != nil {
		return err
	}
	var err error
	if l.client, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0); err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	if l.ifc, err = ifIndex(l.client, "c0"); err != nil {
		return err
	}
	if err := enter(l.names[1]); err != nil {
		return err
	}
	for i, f := range []int{unix.AF_INET, unix.AF_INET6} {
		if l.raw[i], err = unix.Socket(f, unix.SOCK_RAW, unix.IPPROTO_RAW); err != nil {
			return fmt.Errorf("open raw socket: %w", err)
		}
	}
	return nil
}

func ifIndex(fd int, name string) (int, error) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r); err != nil {
		return 0, fmt.Errorf("find %s: %w", name, err)
	}
	return int(r.Uint32()), nil
}

func enter(name string) error {
	f, err := os.Open(filepath.Join("/run/netns", name))
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

// send sends one packet; that a firewall refuses it is no error.
func (l *lab) send(s spec, id uint16) {
	b := s.build(id)
	_, dst := s.addresses()
	if s.Path != output {
		proto := uint16(unix.ETH_P_IP)
		if s.V6 {
			proto = unix.ETH_P_IPV6
		}
		to := &unix.SockaddrLinklayer{Protocol: proto<<8 | proto>>8, Ifindex: l.ifc, Halen: 6}
		copy(to.Addr[:], router[:])
		unix.Sendto(l.client, b, 0, to)
		return
	}
	if s.V6 {
		unix.Sendto(l.raw[1], b, 0, &unix.SockaddrInet6{Addr: dst.As16()})
		return
	}
	unix.Sendto(l.raw[0], b, 0, &unix.SockaddrInet4{Addr: dst.As4()})
}

func (l *lab) Close() {
	for _, n := range l.names {
		exec.Command("ip", "netns", "del", n).Run()
	}
}

// run runs a program in the thread's namespace.
func run(stdin, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s\n%s", name, strings.Join(args, " "), err, stderr.Bytes(), stdin)
	}
	return out, nil
}
