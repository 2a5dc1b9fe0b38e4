package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/google/nftables/xt"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/test/nstest"
)

// container is a network namespace with a process in it, which has a hostile name.
type container struct {
	*nstest.Namespace
	pid     int
	refuses bool // droptrace may say that it cannot read the rules
}

// newContainer starts a process of that name in a namespace of its own.
func newContainer(t *testing.T, comm string) *container {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), comm)
	b, err := os.ReadFile(sleep)
	if err == nil {
		err = os.WriteFile(program, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &container{Namespace: nstest.New(t)}
	cmd := exec.Command(program, "600")
	if err := c.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	c.pid = cmd.Process.Pid
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return c
}

// within runs fn inside the container.
func (c *container) within(t *testing.T, fn func() error) {
	t.Helper()
	if err := c.Do(fn); err != nil {
		t.Fatal(err)
	}
}

// cut is the text in as many bytes as the kernel takes.
func cut(s string, most int) string { return s[:min(len(s), most)] }

// link gives the container an interface with a hostile alias.
func (c *container) link(t *testing.T, hostile string) {
	t.Helper()
	c.within(t, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "eth0"
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "peer"}
		if err := netlink.LinkAdd(pair); err != nil {
			return err
		}
		if err := netlink.LinkSetAlias(pair, cut(hostile, 250)); err != nil {
			return err
		}
		peer, err := netlink.LinkByName("peer")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(peer); err != nil {
			return err
		}
		return netlink.LinkSetUp(pair)
	})
	c.Run(t, "addr add 192.0.2.9/24 dev eth0\n", "ip", "-batch", "-")
}

// nftables writes hostile into every name, comment and prefix of a table that drops
// what leaves.
func (c *container) nftables(t *testing.T, hostile string) {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(c.FD()))
	if err != nil {
		t.Fatal(err)
	}
	table := conn.AddTable(&nftables.Table{Name: hostile, Family: nftables.TableFamilyIPv4})
	policy := nftables.ChainPolicyAccept
	chain := conn.AddChain(&nftables.Chain{
		Name: cut("c"+hostile, 255), Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter, Policy: &policy,
	})
	set := &nftables.Set{Table: table, Name: cut("s"+hostile, 255), KeyType: nftables.TypeInetService}
	if err := conn.AddSet(set, []nftables.SetElement{{Key: []byte{0x0f, 0xa1}, Comment: cut(hostile, 120)}}); err != nil {
		t.Fatal(err)
	}
	data := userdata.AppendString(nil, userdata.TypeComment, cut(hostile, 120))
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, UserData: data, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name},
		&expr.Log{Key: 1 << unix.NFTA_LOG_PREFIX, Data: []byte(cut(hostile, 120))},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

// iptablesNFT writes a comment into a table that iptables-nft owns.
func (c *container) iptablesNFT(t *testing.T, hostile string) {
	t.Helper()
	c.Run(t, "", "iptables-nft", "-A", "OUTPUT", "-p", "udp", "--dport", "4002", "-j", "DROP")
	conn, err := nftables.New(nftables.WithNetNSFd(c.FD()))
	if err != nil {
		t.Fatal(err)
	}
	table := &nftables.Table{Name: "filter", Family: nftables.TableFamilyIPv4}
	info := xt.Unknown(append([]byte(cut(hostile, 255)), make([]byte, 256-len(cut(hostile, 255)))...))
	conn.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Name: "OUTPUT", Table: table}, Exprs: []expr.Any{
		&expr.Match{Name: "comment", Info: &info},
		&expr.Counter{},
	}})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

// ipset writes a comment into a set, and has a rule look into it.
func (c *container) ipset(t *testing.T, hostile string) {
	t.Helper()
	c.Run(t, "create s hash:ip comment\n", "ipset", "restore")
	c.within(t, func() error {
		return netlink.IpsetAdd("s", &netlink.IPSetEntry{IP: net.IPv4(192, 0, 2, 1).To4(), Comment: cut(hostile, 255)})
	})
	c.Run(t, "", "iptables-nft", "-A", "OUTPUT", "-m", "set", "--match-set", "s", "dst", "-j", "DROP")
}

// legacy writes a comment and a chain's name into a table of ip_tables: what stands in
// their place is overwritten in the kernel's own bytes.
func (c *container) legacy(t *testing.T, hostile string) {
	t.Helper()
	const comment, chain = "COMMENTCOMMENT", "chainchainchainchainchain"
	c.Run(t, fmt.Sprintf("*filter\n:OUTPUT ACCEPT [0:0]\n:%[1]s - [0:0]\n-A OUTPUT -p udp -m udp --dport 4003 -m comment --comment %[2]s%[3]s -j DROP\n-A OUTPUT -j %[1]s\n-A %[1]s -j RETURN\nCOMMIT\n",
		chain, comment, strings.Repeat("x", 200)), "iptables-legacy-restore")
	c.within(t, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		info := append([]byte("filter"), make([]byte, 78)...) // struct ipt_getinfo
		if err := sockopt(unix.SYS_GETSOCKOPT, fd, 64, info, true); err != nil {
			return err
		}
		number, size := binary.NativeEndian.Uint32(info[76:]), binary.NativeEndian.Uint32(info[80:])
		entries := append([]byte("filter"), make([]byte, 34+size)...) // struct ipt_get_entries
		binary.NativeEndian.PutUint32(entries[32:], size)
		if err := sockopt(unix.SYS_GETSOCKOPT, fd, 65, entries, true); err != nil {
			return err
		}
		blob := entries[40:]
		long := []byte(comment + strings.Repeat("x", 200))
		blob = bytes.ReplaceAll(blob, long, append([]byte(cut(hostile, len(long))), make([]byte, len(long)-len(cut(hostile, len(long))))...))
		name := []byte(cut(hostile, len(chain)))
		blob = bytes.ReplaceAll(blob, []byte(chain), append(name, make([]byte, len(chain)-len(name))...))
		counters := make([]byte, 16*number)
		replace := make([]byte, 96) // struct ipt_replace
		copy(replace, "filter")
		copy(replace[32:], info[32:36])                     // valid_hooks
		binary.NativeEndian.PutUint32(replace[36:], number) // num_entries
		binary.NativeEndian.PutUint32(replace[40:], size)
		copy(replace[44:], info[36:76]) // hook_entry, underflow
		binary.NativeEndian.PutUint32(replace[84:], number)
		binary.NativeEndian.PutUint64(replace[88:], uint64(uintptr(unsafe.Pointer(&counters[0]))))
		err = sockopt(unix.SYS_SETSOCKOPT, fd, 64, append(replace, blob...), false)
		runtime.KeepAlive(counters)
		return err
	})
}

func sockopt(call uintptr, fd, option int, buf []byte, get bool) error {
	size := uint32(len(buf))
	length := uintptr(size)
	if get {
		length = uintptr(unsafe.Pointer(&size))
	}
	_, _, e := unix.Syscall6(call, uintptr(fd), unix.IPPROTO_IP, uintptr(option), uintptr(unsafe.Pointer(&buf[0])), length, 0)
	runtime.KeepAlive(&size)
	if e != 0 {
		return os.NewSyscallError("sockopt", e)
	}
	return nil
}
