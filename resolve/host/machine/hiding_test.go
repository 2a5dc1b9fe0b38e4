package machine

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/netns"
)

func TestTCFiltersAreNamedByInterfaceAndSide(t *testing.T) {
	const name = "dtlink-tc"
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	run("netns", "add", name)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", name).Run() })
	run("-n", name, "link", "add", "dt0", "type", "veth", "peer", "name", "dt1")
	n, err := netns.Parse(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	h, err := netns.Open(n)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	look := func(want func(string) bool) (out []string) {
		if err := h.Do(func() error { out, err = Hiding(want); return err }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := func(string) bool { return true }
	if got := look(all); len(got) != 0 {
		t.Errorf("a fresh namespace hides %q", got)
	}
	run("netns", "exec", name, "tc", "qdisc", "add", "dev", "dt0", "clsact")
	if err := h.Do(func() error { return addFilter("dt0") }); err != nil {
		t.Fatal(err)
	}
	if got := look(all); len(got) != 1 || !strings.Contains(got[0], "ingress of dt0") {
		t.Errorf("got %q, want the filter at ingress of dt0", got)
	}
	if got := look(func(s string) bool { return s == "dt1" }); len(got) != 0 {
		t.Errorf("dt1 hides %q", got)
	}
}

// addFilter attaches a program that lets all pass: matchall is not in every kernel.
func addFilter(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return err
	}
	defer p.Close()
	return netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: l.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1,
			Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: p.FD(), Name: "pass", DirectAction: true,
	})
}
