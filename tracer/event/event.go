// Package event is the record that droptrace's kernel side writes, in pure Go:
// no BPF is needed to read, explain or fuzz one.
//
// Event mirrors struct event of bpf/event.h field by field. Numbers are in host
// byte order except addresses and ports inside tuples and the packet's own
// bytes, which stay in network order.
package event

import (
	"bytes"
	"errors"
	"fmt"
	"structs"
	"unsafe"

	"github.com/droptrace/droptrace/tracer/packet"
)

const (
	headerBytes = 160
	entryBytes  = 168
	nameBytes   = 32
	stackDepth  = 20
	reasonBytes = 64
)

// Type tells records apart.
type Type uint8

const (
	Drop        Type = 1
	Calibration Type = 2
	// ConntrackFailure is one that lost no packet, or not yet.
	ConntrackFailure Type = 3
	// Listen is a SYN that a listening socket refused: a drop, too.
	Listen Type = 4
	// Stolen is a SYN that synproxy answered: it was not lost.
	Stolen Type = 5
)

// Flag holds facts about the record itself.
type Flag uint32

const (
	VLAN         Flag = 1 << iota // VLANTCI is valid
	Socket                        // skb->sk was set
	Task                          // on a task's stack: it may be the task's doing
	InCall                        // PID and Comm are of a task in a call on the packet's Socket
	HasStack                      // Stack is valid
	HeaderCut                     // more linear header bytes than Header holds
	HookProbe                     // Hook, In and Out from nf_hook_slow's probe
	HookFrame                     // Hook, In and Out from nf_hook_slow's frame
	XTTracked                     // x_tables counters were compared
	XTStale                       // a tracked table was replaced since it was tracked
	XTUntracked                   // x_tables hooks here that nobody tracks
	XTCapped                      // more drop entries than one drop may read
	Nonlinear                     // part of the packet lies in pages that were not read
	NFTHere                       // nft base chains stand on this hook
	NFTPolicy                     // an nft base chain with policy drop does
	HeadFrags                     // the head of a reassembled datagram
	Conntrack                     // conntrack looks at this namespace's packets
	HasFailure                    // Failure is valid
	TupleOnly                     // no packet was at hand: Header was made up from CT.Original
	Uncalibrated                  // netfilter's frame stood as calibration never saw it
	EvalUnseen                    // an eval's end was missed: the policy is not certain
	Deferred                      // a bare ACK that TCP_DEFER_ACCEPT has no use for
	Overflow                      // the packet found its accept queue full
	Headerless                    // there was no IP header yet: Header begins with its socket's addresses
	NATHere                       // NAT has its hook here, with chains or without
)

// RuleKind says what RuleInfo names.
type RuleKind uint8

const (
	RuleNone RuleKind = iota
	RuleNFT
	RuleNFTPolicy
	RuleXT
	RuleHook
)

// Method says how the kernel side found the rule.
type Method uint8

const (
	MethodNone          Method = 0
	MethodNFTExpression Method = 1
	MethodNFTFrame      Method = 2
	MethodXTTarget      Method = 4 // Offset is that of the target's data
	MethodXTCounter     Method = 5
	MethodXTCounterMany Method = 6
	MethodPolicySite    Method = 7
	MethodPolicyRest    Method = 8
	MethodHook          Method = 9
	MethodXTFresh       Method = 10 // of a table that was not watched yet
)

// NoHook is Event.Hook where netfilter had no part in the drop.
const NoHook = 0xff

// CTTuple is struct nf_conntrack_tuple; ports in network order.
type CTTuple struct {
	_       structs.HostLayout
	Src     [16]byte
	SrcPort [2]byte
	L3Num   uint16
	Dst     [16]byte
	DstPort [2]byte
	Proto   uint8
	Dir     uint8
}

// CTPresence tells an entry, no entry and NOTRACK apart.
type CTPresence uint8

const (
	CTAbsent    CTPresence = 0
	CTEntry     CTPresence = 1
	CTUntracked CTPresence = 2
)

// CTInfo is what the packet's _nfct said at the drop.
type CTInfo struct {
	_        structs.HostLayout
	Present  CTPresence
	CTInfo   uint8 // enum ip_conntrack_info
	TCPState uint8 // enum tcp_conntrack
	_        uint8
	Status   uint32 // IPS_* bits
	Mark     uint32
	Zone     uint16
	_        uint16
	Timeout  uint32 // jiffies32 once confirmed
	Jiffies  uint32 // at the drop
	Original CTTuple
	Reply    CTTuple
}

// Saw is what a probe saw of a conntrack failure.
type Saw uint8

const (
	SawNothing       Saw = iota
	SawClash             // nf_ct_resolve_clash gave up; Other was there first
	SawClashResolved     // it did not
	SawFull              // early_drop found nobody to evict
	SawEvicted           // early_drop evicted Other
	SawInvalid           // a protocol's tracker complained: Reason
	SawRefused           // a helper complained: Reason
	SawOtherDevice       // masqueraded for another device than it leaves by
)

// Hooked are the probes that stood: what they did not see was not so.
type Hooked uint8

const (
	HookedClash Hooked = 1 << iota
	HookedFull
	HookedInvalid
)

// Moved is what this CPU's conntrack counters (struct ip_conntrack_stat) moved by
// since they were last looked at, which is at each drop by conntrack.
type Moved struct {
	_            structs.HostLayout
	Invalid      uint32
	InsertFailed uint32
	Drop         uint32
	EarlyDrop    uint32
	ClashResolve uint32
	ChainTooLong uint32
}

// AtHook says whether conntrack's own hook function dropped the packet.
type AtHook uint8

const (
	NotAtHook    AtHook = iota // or it is not known
	AtHookPlain                // its entry has no helper
	AtHookHelped               // it has one
)

// CTFailure is what told that a packet failed to get its conntrack entry.
type CTFailure struct {
	_       structs.HostLayout
	Saw     Saw
	Hooked  Hooked
	Counted uint8 // Moved is valid
	AtHook  AtHook
	Moved   Moved
	_       uint32
	Other   CTInfo
	Reason  [reasonBytes]byte // the kernel's format string
}

// ListenKind is why a listening socket refused.
type ListenKind uint32

const (
	ListenOther       ListenKind = iota
	ListenAcceptQueue            // nobody accepts what is established
	ListenSYNQueue               // too many half-open ones, and no cookies
)

// ListenQueue is the socket's own.
type ListenQueue struct {
	_       structs.HostLayout
	Kind    ListenKind
	Waiting uint32 // for accept
	Limit   uint32
	_       uint32
}

// RuleInfo identifies the rule in the kernel's own numbers.
type RuleInfo struct {
	_           structs.HostLayout
	Kind        RuleKind
	Method      Method
	Candidates  uint8
	Family      uint8 // NFPROTO_*
	Generation  uint32
	RuleHandle  uint64 // x_tables, by counter: a number for the entry's bytes
	ChainHandle uint64
	TableHandle uint64
	Address     uint64
	Offset      uint32
	Reject      uint8
	_           [3]uint8
	Table       [nameBytes]byte
	Chain       [nameBytes]byte
	Entry       [entryBytes]byte
}

// PacketBytes says what of the packet follows the record: bytes from its
// link-layer header on, if it still had one.
type PacketBytes struct {
	_          structs.HostLayout
	Captured   uint32 // bytes that follow
	Original   uint32 // bytes that the packet had; a GSO packet is one
	LinkLength uint16 // of the link-layer header; 0: it begins at the network header
	DeviceType uint16 // ARPHRD_* of the device, NoDevice where it had none
	VLANProto  uint16 // EtherType of the tag in VLANTCI
	Front      uint16 // how much of struct event was sent
}

// NoDevice is PacketBytes.DeviceType of a packet without a device: ARPHRD_VOID.
const NoDevice = 0xffff

// SocketKind says which socket SocketInfo describes.
type SocketKind uint32

const (
	SocketNone      SocketKind = iota
	SocketOfPacket             // skb->sk: its sender's or its receiver's
	SocketOfRequest            // that listens where skb->sk is a connection in the making
	SocketReceives             // the packet came to it
)

// SocketFilter says who may refuse what comes to a socket.
type SocketFilter uint32

const (
	FiltersKnown SocketFilter = 1 << iota
	OwnFilter                 // the socket has a filter
	CgroupFilter              // its cgroup, or one above, has a program
)

// SocketInfo is the packet's socket. The kernel's own are left out.
type SocketInfo struct {
	_          structs.HostLayout
	Inode      uint64 // of its file; 0: its program has closed it
	Destructor uint64 // skb->destructor, a function
	UID        uint32 // sk_uid
	FileUID    uint32 // of its file's credentials, as FileGID; valid with Inode
	FileGID    uint32
	Kind       SocketKind
	References uint32 // to its file: descriptors, and calls under way
	// Of SocketReceives.
	Filters SocketFilter
	Queued  uint32 // bytes of memory that wait to be read
	Limit   uint32 // SO_RCVBUF
}

// Event is one record.
type Event struct {
	_             structs.HostLayout
	Type          Type
	Hook          uint8 // NF_* number or NoHook
	PF            uint8 // NFPROTO_* of the hook
	PktType       uint8
	Flags         Flag
	Time          uint64 // CLOCK_MONOTONIC, ns
	SKB           uint64
	Location      uint64
	NetnsCookie   uint64
	Netns         uint32 // inode
	Reason        uint32
	CPU           uint32
	Length        uint32 // skb->len
	Mark          uint32
	Protocol      uint16 // EtherType
	VLANTCI       uint16
	GSOSegs       uint16
	GSOSize       uint16
	HeaderLen     uint16
	NetworkOffset int16
	PID           uint32
	InIndex       uint32
	OutIndex      uint32
	DevIndex      uint32
	InName        [16]byte
	OutName       [16]byte
	DevName       [16]byte
	Comm          [16]byte
	Bytes         PacketBytes
	Socket        SocketInfo
	Caller        uint64 // as Location, of the function there, where that frees for others
	HookFn        uint64
	CT            CTInfo
	Rule          RuleInfo
	Header        [headerBytes]byte
	Failure       CTFailure          // only with HasFailure
	Listen        ListenQueue        // only of type Listen
	Stack         [stackDepth]uint64 // only with HasStack

	// Data is the packet as Bytes describes it, without a tag that only VLANTCI
	// holds. After Decode it is part of the raw record and lives no longer.
	Data []byte

	headers packet.Packet // what Headers returns, once parsed is true
	parsed  bool
}

// ErrShort is returned for a record too short to be an Event.
var ErrShort = errors.New("record too short")

const (
	size        = unsafe.Offsetof(Event{}.Data) // of struct event
	noStackSize = unsafe.Offsetof(Event{}.Stack)
	shortSize   = unsafe.Offsetof(Event{}.Failure)
)

// Decode fills e from a raw record. It allocates nothing, and e.Data is part of
// raw.
func (e *Event) Decode(raw []byte) error {
	if uintptr(len(raw)) < shortSize {
		return fmt.Errorf("decode event of %d bytes: %w", len(raw), ErrShort)
	}
	e.parsed = false
	dst := e.raw()
	copy(dst[:shortSize], raw)
	n := int(e.Bytes.Front)
	if n < int(shortSize) || n > int(size) || n > len(raw) {
		return fmt.Errorf("decode event of %d bytes, the first %d: %w", len(raw), n, ErrShort)
	}
	clear(dst[copy(dst, raw[:n]):])
	e.Data = raw[n:]
	if want := int(e.Bytes.Captured); len(e.Data) > want {
		e.Data = e.Data[:want]
	}
	return nil
}

// Clone returns a copy that holds its own Data.
func (e *Event) Clone() *Event {
	c := *e
	c.Data = bytes.Clone(e.Data)
	return &c
}

// raw is the part of e that the kernel side writes.
func (e *Event) raw() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(e)), size)
}

// Headers returns what the packet's bytes say. They are parsed once for a record, the
// first time that it is called; who changes Header or Protocol by hand does so before.
func (e *Event) Headers() *packet.Packet {
	if !e.parsed {
		packet.Parse(packet.EtherType(e.Protocol), e.Packet(), &e.headers)
		e.parsed = true
	}
	return &e.headers
}

// Packet returns the packet's bytes from its network header on.
func (e *Event) Packet() []byte {
	return e.Header[:min(int(e.HeaderLen), len(e.Header))]
}
