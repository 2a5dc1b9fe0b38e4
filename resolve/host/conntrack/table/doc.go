// Package table reads the conntrack table of a network namespace: what it counted
// on each CPU, how full it is, single entries, and who fills it.
//
// Nothing is changed and no module is loaded by looking: /proc is asked unless
// the caller says that ctnetlink is in the kernel (a message to it would load
// nf_conntrack_netlink). No events are subscribed to.
//
// Numbers of ctnetlink are those of uapi linux/netfilter/nfnetlink_conntrack.h.
package table

import "errors"

// Namespace is a network namespace to read.
type Namespace interface {
	// Do runs fn on a thread that is inside the namespace.
	Do(fn func() error) error
}

// ErrNoConntrack says that the kernel has no conntrack: it is not loaded, or
// not built.
var ErrNoConntrack = errors.New("the kernel has no conntrack")

// ErrNoNetlink says that the kernel cannot be asked for entries without loading
// nf_conntrack_netlink.
var ErrNoNetlink = errors.New("nf_conntrack_netlink is not loaded")

// errMalformed is for bytes that are no answer of ctnetlink or /proc.
var errMalformed = errors.New("malformed conntrack answer")
