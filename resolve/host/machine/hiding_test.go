package machine

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestTCFiltersAreNamedByInterfaceAndSide(t *testing.T) {
	h := newNamespace(t, "link add dt0 type veth peer name dt1\n")
	look := func(want func(string) bool) (out []string) {
		if err := h.Do(func() (err error) { out, err = Hiding(want); return err }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := func(string) bool { return true }
	if got := look(all); len(got) != 0 {
		t.Errorf("a fresh namespace hides %q", got)
	}
	err := h.Do(func() error {
		out, err := exec.Command("tc", "qdisc", "add", "dev", "dt0", "clsact").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return addFilter("dt0")
	})
	if err != nil {
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
