package tracer

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/droptrace/droptrace/bpf"
)

// Arrival counts the packets of one interface that matched what of Options.Filter
// and Options.Expression applies to packets that are alive.
type Arrival struct {
	Netns     uint32 // inode; 0: of interfaces beyond those that there is room for
	Index     uint32
	Name      string
	Sent      bool // handed to the device; else received from it
	Packets   uint64
	Undecided uint64 // the expression looks at bytes that could not be read
}

// attachArrivals counts from now on what devices give and take.
func (t *Tracer) attachArrivals() error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count possible CPUs: %w", err)
	}
	for i, name := range []string{"packet_arrived", "packet_sent"} {
		rest := bpf.KernelArrivalKey{Sent: uint32(i)}
		if err := t.kernel.table("arrivals").Put(&rest, make([]bpf.KernelArrival, cpus)); err != nil {
			return fmt.Errorf("arrivals are not counted: %w", err)
		}
		prog, err := t.kernel.loadProbe(name, "")
		if err != nil {
			return fmt.Errorf("arrivals are not counted: %w", err)
		}
		err = t.keep(t.kernel.machine.attachTracing(prog))
		prog.Close()
		if err != nil {
			return fmt.Errorf("arrivals are not counted: %w", err)
		}
	}
	return nil
}

// CountsArrivals reports whether arrivals were asked for and can be counted here.
func (t *Tracer) CountsArrivals() bool { return t.countsArrivals }

// Arrivals returns what was counted, interfaces without any left out.
func (t *Tracer) Arrivals() ([]Arrival, error) {
	var (
		key    bpf.KernelArrivalKey
		perCPU []bpf.KernelArrival
		out    []Arrival
	)
	all := t.kernel.table("arrivals").Iterate()
	for all.Next(&key, &perCPU) {
		a := Arrival{Netns: key.Netns, Index: key.Ifindex, Sent: key.Sent != 0}
		for _, c := range perCPU {
			a.Packets += c.Packets
			a.Undecided += c.Undecided
			if name := interfaceName(&c); name != "" { // that of the CPU which was first
				a.Name = name
			}
		}
		if a.Packets+a.Undecided > 0 {
			out = append(out, a)
		}
	}
	if err := all.Err(); err != nil {
		return nil, fmt.Errorf("read arrivals: %w", err)
	}
	return out, nil
}

func interfaceName(a *bpf.KernelArrival) string {
	var b []byte
	for _, c := range a.Name {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}
