package filter

import (
	"math"
	"net/netip"
	"structs"
)

// Room in Kernel: the FILTER_* constants of bpf/filter.h.
const (
	maxPorts    = 16
	maxPrefixes = 16
	maxIfaces   = 8
	maxMarks    = 4
	maxNetns    = 16
	maxReasons  = 32
)

// condition is a flag in the kernel's form: enum filter_condition. The three
// sides of ports, hosts and interfaces follow each other.
type condition uint16

const (
	wantPort      condition = 1 << 0
	wantHost      condition = 1 << 3
	wantIface     condition = 1 << 6
	wantProto     condition = 1 << 9
	wantNetns     condition = 1 << 10
	wantHook      condition = 1 << 11
	wantReason    condition = 1 << 12
	wantMark      condition = 1 << 13
	wantNetfilter condition = 1 << 14
)

// ends returns what a fitting source and a fitting destination meet of a flag
// about s.
func (c condition) ends(s side) (src, dst condition) {
	if s != destination {
		src = c << s
	}
	if s != source {
		dst = c << s
	}
	return src, dst
}

// Kernel is struct filter_config of bpf/filter.h. Its zero value lets everything
// through.
type Kernel struct {
	_          structs.HostLayout
	Want       uint32
	Hooks      uint32
	Ports      uint8
	Prefixes   uint8
	Ifaces     uint8
	Netns      uint8
	Reasons    uint8
	Marks      uint8
	_          [2]uint8
	Protocols  [4]uint64
	PortList   [maxPorts]KernelPort
	PrefixList [maxPrefixes]KernelPrefix
	IfaceList  [maxIfaces]KernelIface
	MarkList   [maxMarks]KernelMark
	NetnsList  [maxNetns]uint32
	ReasonList [maxReasons]uint32
}

// KernelPort is struct filter_port. Src and Dst are the conditions that a source
// or destination port in the range meets.
type KernelPort struct {
	First, Last uint16
	Src, Dst    condition
}

// KernelPrefix is struct filter_prefix; addresses are in network order.
type KernelPrefix struct {
	Address, Mask [16]byte
	Family        uint16 // 4 or 6
	Src, Dst      condition
	_             uint16
}

// KernelIface is struct filter_iface.
type KernelIface struct {
	Name, Mask   [16]byte
	In, Out, Dev condition
	_            uint16
}

// KernelMark is struct filter_mark.
type KernelMark struct{ Value, Mask uint32 }

// Kernel returns the kernel's form. Where exact is false a flag did not fit into
// it, or needs the ruleset: the kernel then lets more through, never less, and
// MatchEvent and MatchResolved decide.
func (f *Filter) Kernel() (k Kernel, exact bool) {
	k, fits := f.kernel()
	return k, fits && len(f.spec.Table) == 0 && len(f.spec.Chain) == 0 && len(f.states) == 0
}

// FitsKernel reports whether the kernel decides all that MatchEvent does.
func (f *Filter) FitsKernel() bool {
	_, fits := f.kernel()
	return fits
}

func (f *Filter) kernel() (k Kernel, exact bool) {
	exact = true
	for s := range sides {
		exact = k.addPorts(f.ports[s], s) && exact
		exact = k.addPrefixes(f.hosts[s], s) && exact
		exact = k.addIfaces(f.ifaces[s], s) && exact
	}
	exact = k.addMarks(f.marks) && exact
	exact = k.addNumbers(k.NetnsList[:], &k.Netns, f.netns, wantNetns) && exact
	exact = k.addNumbers(k.ReasonList[:], &k.Reasons, f.reasons, wantReason) && exact
	for _, p := range f.protocols {
		k.Protocols[p/64] |= 1 << (p % 64)
		k.want(wantProto)
	}
	for _, h := range f.hooks {
		k.Hooks |= 1 << h
		k.want(wantHook)
	}
	if f.spec.Netfilter {
		k.want(wantNetfilter)
	}
	return k, exact
}

func (k *Kernel) want(c condition) { k.Want |= uint32(c) }

// fits reports whether n more entries have room. A list is taken whole or not at
// all: half of it would let less through.
func fits(used uint8, n, room int) bool { return int(used)+n <= room }

func (k *Kernel) addPorts(list []portRange, s side) bool {
	if !fits(k.Ports, len(list), maxPorts) {
		return false
	}
	src, dst := wantPort.ends(s)
	for _, r := range list {
		k.PortList[k.Ports] = KernelPort{First: r.first, Last: r.last, Src: src, Dst: dst}
		k.Ports++
		k.want(src | dst)
	}
	return true
}

func (k *Kernel) addPrefixes(list []netip.Prefix, s side) bool {
	if !fits(k.Prefixes, len(list), maxPrefixes) {
		return false
	}
	src, dst := wantHost.ends(s)
	for _, p := range list {
		e := &k.PrefixList[k.Prefixes]
		*e = KernelPrefix{Family: 6, Src: src, Dst: dst}
		copy(e.Address[:], p.Addr().AsSlice())
		if p.Addr().Is4() {
			e.Family = 4
		}
		for i := range p.Bits() {
			e.Mask[i/8] |= 0x80 >> (i % 8)
		}
		k.Prefixes++
		k.want(src | dst)
	}
	return true
}

func (k *Kernel) addIfaces(list []ifaceName, s side) bool {
	if !fits(k.Ifaces, len(list), maxIfaces) {
		return false
	}
	in, out := wantIface.ends(s)
	for _, n := range list {
		e := &k.IfaceList[k.Ifaces]
		*e = KernelIface{In: in, Out: out}
		if s == either {
			e.Dev = in
		}
		covered := copy(e.Name[:], n.text)
		if !n.prefix {
			covered++ // the NUL
		}
		for i := range covered {
			e.Mask[i] = math.MaxUint8
		}
		k.Ifaces++
		k.want(in | out)
	}
	return true
}

func (k *Kernel) addMarks(list []mark) bool {
	if !fits(k.Marks, len(list), maxMarks) {
		return false
	}
	for _, m := range list {
		k.MarkList[k.Marks] = KernelMark{Value: m.value, Mask: m.mask}
		k.Marks++
		k.want(wantMark)
	}
	return true
}

func (k *Kernel) addNumbers(dst []uint32, used *uint8, list []uint32, c condition) bool {
	if !fits(*used, len(list), len(dst)) {
		return false
	}
	for _, n := range list {
		dst[*used] = n
		*used++
		k.want(c)
	}
	return true
}
