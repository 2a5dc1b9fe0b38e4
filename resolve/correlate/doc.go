// Package correlate tells which packets of a capture were dropped: it finds each
// recorded drop's packet among those that a capture of the same time and machine
// holds.
//
// Packets are compared by what no NAT changes (identity), at addresses and ports
// that are the drop's own or those of its conntrack tuples, and within a window of
// time: a packet is captured before it is dropped. Each drop is one captured
// packet and each captured packet at most one drop, but for fragments, which
// conntrack puts together before they are dropped as one.
//
// Where more than one fits, time and the others' matches may leave only one; else
// all of them are ambiguous, and the candidates are told. That rests on the
// capture being whole: of two equal packets of which one was dropped and only the
// other captured, nothing tells.
//
// Both files are read once, from front to back; what is kept is what lies within
// the window.
package correlate
