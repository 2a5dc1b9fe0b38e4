package calibrate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/bpf"
)

// Reader hands over the calibration record of the packet just sent to a port,
// nil where none came. byHook tells nf_hook_slow's frees from nft_do_chain's.
type Reader func(port uint16) (record *bpf.KernelCalibration, byHook bool, err error)

// Dropper drops packets in a namespace, each for a cause that it knows.
type Dropper struct {
	Namespace *Namespace
	Read      Reader
	// ReturnBits of each Sample.
	ReturnBits uint64
	expects    map[uint16]Expect // what the rules do, by UDP port
}

// LoadRules loads the nft rules that Rules drops by.
func (d *Dropper) LoadRules() error {
	err := d.Namespace.Do(func() (err error) {
		d.expects, err = nftRuleset()
		return err
	})
	if err != nil {
		d.expects = nil
	}
	return err
}

// Rules drops packets by nft rules: twice round, so that no word holds the same
// rule twice in a row. Without rules it does nothing.
func (d *Dropper) Rules(ctx context.Context) ([]Sample, error) {
	ports := slices.Sorted(maps.Keys(d.expects))
	// Output's packets are this task's, input's a softirq's: they alternate.
	half := len(ports) / 2
	var samples []Sample
	var err error
	for range 2 {
		for i := range half {
			for _, port := range []uint16{ports[i], ports[half+i]} {
				if ctx.Err() != nil {
					return samples, ctx.Err()
				}
				if samples, err = d.drop(samples, port, d.expects[port]); err != nil {
					return samples, err
				}
			}
		}
	}
	return samples, nil
}

func (d *Dropper) drop(samples []Sample, port uint16, want Expect) ([]Sample, error) {
	if err := d.Namespace.Do(func() error { return send(port) }); err != nil {
		return samples, err
	}
	record, byHook, err := d.Read(port)
	if err != nil || record == nil {
		return samples, err
	}
	return append(samples, Sample{Expect: want, KernelCalibration: record, ByHook: byHook, ReturnBits: d.ReturnBits}), nil
}

// hookPriorities of the netfilter programs that stand in for hooks.
var hookPriorities = [...]int32{-40, -30, -20, -10}

// Hooks drops packets by BPF netfilter programs (6.4 and later), which return
// a plain NF_DROP to nf_hook_slow.
func (d *Dropper) Hooks(ctx context.Context) (samples []Sample, err error) {
	accept, err := netfilterProgram(1)
	if err != nil {
		return nil, err
	}
	defer accept.Close()
	drop, err := netfilterProgram(0)
	if err != nil {
		return nil, err
	}
	defer drop.Close()
	for range 2 {
		for index := range hookPriorities {
			if ctx.Err() != nil {
				return samples, ctx.Err()
			}
			links, err := d.Namespace.attachHooks(accept, drop, index)
			if err != nil {
				return samples, err
			}
			samples, err = d.drop(samples, 3000, Expect{Index: index})
			for _, l := range links {
				l.Close()
			}
			if err != nil {
				return samples, err
			}
		}
	}
	return samples, nil
}

func netfilterProgram(verdict int32) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "calibrate",
		Type:         ebpf.Netfilter,
		AttachType:   ebpf.AttachNetfilter,
		License:      "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load netfilter program: %w", err)
	}
	return p, nil
}

// attachHooks puts a program at each priority of the namespace's output hook,
// the dropping one at index.
func (n *Namespace) attachHooks(accept, drop *ebpf.Program, index int) (links []link.Link, err error) {
	err = n.Do(func() error {
		for i, priority := range hookPriorities {
			p := accept
			if i == index {
				p = drop
			}
			l, err := link.AttachNetfilter(link.NetfilterOptions{
				Program: p, ProtocolFamily: unix.NFPROTO_IPV4,
				Hook: unix.NF_INET_LOCAL_OUT, Priority: priority,
			})
			if err != nil {
				return fmt.Errorf("attach netfilter program: %w", err)
			}
			links = append(links, l)
		}
		return nil
	})
	if err != nil {
		for _, l := range links {
			l.Close()
		}
	}
	return links, err
}
