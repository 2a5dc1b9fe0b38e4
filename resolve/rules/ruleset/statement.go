package ruleset

import "net/netip"

// Statement is one step of a rule: [Match], [Any], [Header], [VerdictMap],
// [Verdict], [Assign], [NAT], [NoTrack] or [Opaque]. Steps without a say in the packet's fate (counter,
// log, comment) are left out.
//
// The kernel goes through a rule's statements in order. At a match that fails it
// goes on with the next rule; at the end of the rule, too.
type Statement interface{ statement() }

func (*Match) statement()      {}
func (*Any) statement()        {}
func (*Header) statement()     {}
func (*VerdictMap) statement() {}
func (*Verdict) statement()    {}
func (*Assign) statement()     {}
func (*NAT) statement()        {}
func (*NoTrack) statement()    {}
func (*Opaque) statement()     {}

// Match compares fields with values. Where the packet lacks a field (a port that
// is cut off) it fails, Negate or not, as nft's does (NFT_BREAK). What iptables
// does otherwise there, its reader spells out in statements. In place of a later
// fragment's transport header nf_tables may read what is there.
type Match struct {
	// Fields is one field or, for a concatenation, several, whose values are
	// put behind each other.
	Fields []Field
	// Mask is ANDed to the value first; nil for none.
	Mask []byte
	// Ranges are the values that match, any of them: sorted, apart from each
	// other. Not used where Set is not nil.
	Ranges []Range
	Set    *Set
	Negate bool
	// Implied is true where the tool added the match for the sake of a later
	// one and does not show it: nft's "meta l4proto tcp" of `tcp dport 22`.
	Implied bool
	// Text is the match as its own tool writes it, for people: `--dport 80`,
	// `ip saddr 10.0.0.0/8`.
	Text string
}

// Any holds where one of its alternatives does, and an alternative where all of
// its statements do: [Match], [Any], [Header] with ShortFails and [Opaque] with no
// say but MayFail. A match of a field that the packet lacks is false here as
// elsewhere, but Negate turns the outcome of the whole: so Any of one negated is
// how x_tables negates what holds for a packet without the field, too. Without
// alternatives nothing holds, or with Negate everything.
type Any struct {
	Of     [][]Statement
	Negate bool
	Text   string
}

// Header is how x_tables' matches of a transport protocol begin: they look
// whether the packet has the header at all.
type Header struct {
	// Size is how many bytes must be there from the transport header on; 0
	// only asks whether IPv6's extension headers lead to one.
	Size int
	// Options: as many as TCP's data offset says must be there, too.
	Options bool
	// LaterFragments, which have no transport header, pass; else the match
	// fails for them.
	LaterFragments bool
	// FragmentOverwrite: those 8 bytes into the datagram are treated as Short
	// says (tcp_mt: they could write over the flags).
	FragmentOverwrite bool
	// Short says what becomes of a packet that is cut short.
	Short Short
	Text  string
}

// Short says what a match does with a packet that is too short for it.
type Short uint8

const (
	ShortFails   Short = iota // it does not match
	ShortDrops                // it is dropped at once: x_tables' hotdrop
	ShortUnknown              // which code looks at it is not known, nor what it does
)

// Range is the values From to To, both included: byte strings as long as the
// fields together. For a concatenation each field is a range of its own.
type Range struct{ From, To []byte }

// VerdictMap looks the fields up in Set, whose elements have verdicts. Without an
// element the rule goes on.
type VerdictMap struct {
	Fields []Field
	Mask   []byte // as in Match
	Set    *Set
	Text   string
}

// VerdictKind is what a rule says of a packet.
type VerdictKind uint8

const (
	Accept VerdictKind = iota + 1
	Drop
	Reject   // answers and drops
	Return   // in a base chain: to the policy
	Continue // with the next rule
	Jump
	Goto
	Queue  // to a program; without one it is dropped, or accepted with Bypass
	Stolen // taken out of the stack and answered or carried on there: synproxy, fwd
)

// Verdict ends the rule.
type Verdict struct {
	Kind   VerdictKind
	Target *Chain // of Jump and Goto
	Bypass bool   // of Queue
	Text   string // `reject with tcp reset`, `-j DROP`
}

// Assign sets a field of the packet or its connection: Mark, CTMark, Priority, …
// The new value is (old AND Mask) XOR Value, as nft's bitwise and iptables' MARK
// have it; a nil Mask forgets the old value. With Known false it is not known
// what it sets.
type Assign struct {
	Field Field
	Mask  []byte
	Value []byte
	Known bool
	// From, where it is not 0, takes part (CONNMARK's restore and save): the
	// new value is (old AND Mask) XOR (From's AND Value), a nil Value all of it.
	// Without a connection nothing is set.
	From Field
	Text string
}

// NATKind is what a [NAT] statement changes.
type NATKind uint8

const (
	SNAT NATKind = iota + 1
	DNAT
	Masquerade
	Redirect // to this machine
	NetMap
)

// NAT gives a new connection its translation; later packets do not meet nat
// chains. It ends the chain's evaluation as Accept does.
type NAT struct {
	Kind NATKind
	// Addresses and ports to choose from; invalid and 0 where they stay. Known
	// is false where they come from a map or are not understood.
	From, To         netip.Addr
	FromPort, ToPort uint16
	Known            bool
	Text             string
}

// NoTrack keeps conntrack away from the packet.
type NoTrack struct{ Text string }

// Opaque is a step whose result cannot be told from the ruleset and the packet.
type Opaque struct {
	// Kind is the kind of step, for people and statistics: limit, random,
	// time, socket, recent, …; or the name of what is not understood.
	Kind string
	// Understood is true where only the outcome cannot be known, not what the
	// step does.
	Understood bool
	// MayFail: the rule may end here as at a match that fails. MayDrop,
	// MayAccept: the step itself may end the packet's way.
	MayFail, MayDrop, MayAccept bool
	Text                        string
}
