// Package replay evaluates a packet against a ruleset, as the kernel would, and
// knows what it does not know: each match holds, fails, or cannot be told.
package replay

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

// Truth is three-valued.
type Truth uint8

const (
	No Truth = iota
	Yes
	Unknown
)

// Presence says whether a packet has a field.
type Presence uint8

const (
	Absent   Presence = iota // the packet has no such field: the match fails
	Present                  // the value is known
	NotKnown                 // it may have one, its value is not known
)

// Packet is what is known of a packet at one hook.
type Packet struct {
	// EtherType of the network header, host order.
	EtherType uint16
	// Bytes from the network header on, as on the wire. They may be cut; Length
	// is that of the whole packet from there on, 0 where not known.
	Bytes  []byte
	Length int
	// Link is the link-layer header; nil where it is not known.
	Link []byte

	In, Out   Interface
	Mark      uint32
	MarkKnown bool
	// PacketType is PACKET_HOST and so on; -1 where not known.
	PacketType int
	// UID and GID of the sending socket's owner; -1 where not known, -2 where
	// the packet has no socket.
	UID, GID int

	Conntrack Conntrack

	// kept is what rules of hooks before did to it.
	kept carried
}

// carried is what a packet takes along from hook to hook and the other fields do
// not say.
type carried struct {
	unknown []region // bytes that were changed in a way that is not known
	set     []assignment
	states  uint32 // the connection's possible states, where they are several
}

// Interface is where the packet came in or goes out.
type Interface struct {
	Known bool // with no Name and no Index: there is none
	Index uint32
	Name  string
}

// Conntrack is the packet's connection as rules see it.
type Conntrack struct {
	// State is one bit of ruleset.CTInvalid and so on; 0 where not known. With
	// CTNew and no Entry the packet is the first of its connection.
	State     uint32
	Direction uint8 // 0 original, 1 reply; valid with Entry
	// Entry is false where there is no entry or its content is not known.
	Entry  bool
	Status uint32 // IPS_* bits
	Mark   uint32
	Zone   uint16
	// Tuples in wire order: address (4 or 16 bytes) and port.
	Original, Reply Tuple
	Protocol        uint8
}

// Tuple is one direction of a connection; ports in host order.
type Tuple struct {
	Source, Destination         []byte
	SourcePort, DestinationPort uint16
}

// Environment answers what stands neither in the packet nor in the ruleset. Any
// answer may be "not known".
type Environment interface {
	// FIB looks the routing table up, key and result as in ruleset.FIB.
	FIB(p *Packet, key uint8, result ruleset.FIBResult) ([]byte, Presence)
	// Link answers for ruleset.InType, InGroup, InBridge and their likes.
	Link(i Interface, f ruleset.Field) ([]byte, Presence)
}

// Hook is one hook of a family: ip, ip6, arp, bridge or netdev, with the hook's
// name as nft spells it. Device is that of ingress and egress.
type Hook struct{ Family, Name, Device string }

// Verdict is how a packet leaves a hook.
type Verdict uint8

const (
	CannotKnow Verdict = iota
	Accepted
	Dropped
	Rejected
	Queued
	Taken // stolen: synproxy, fwd
)

// Result is what became of a packet at a hook.
type Result struct {
	Verdict Verdict
	// Last is what ended it: the rule, or with a nil Rule the policy of Chain.
	// It is not set with Accepted and CannotKnow, nor where the packet is dropped
	// for certain but by one of several Candidates.
	Last Place
	// Candidates are all places that can have dropped or rejected the packet,
	// given what is not known, in the order of evaluation; queues among them,
	// whose program may.
	Candidates []Place
	// Capped: there were more ways through the rules than are followed, and
	// Candidates may lack some.
	Capped bool
	// Doubts are the steps that could not be told and had a say.
	Doubts []Step
	// Steps in the order of evaluation; only where Options.Steps asks for them.
	Steps []Step
	// After is the packet as the rules left it: marks set.
	After Packet
}

// Place is a rule, or the policy of a base chain.
type Place struct {
	Chain *ruleset.Chain
	Rule  *ruleset.Rule
	Base  *ruleset.Chain
}

// Step is the evaluation of one rule.
type Step struct {
	Place
	// Depth counts the jumps that led here.
	Depth int
	// Reached is Yes where the packet came to the rule for certain, else Unknown.
	Reached Truth
	// Truth is Yes where every match held.
	Truth Truth
	// At is the statement that failed or could not be told; with Yes the one
	// that ended the rule, nil where it only went on.
	At ruleset.Statement
	// Why says in a few words why it could not be told.
	Why string
}

// Options of a run.
type Options struct {
	Steps bool // report every rule
}
