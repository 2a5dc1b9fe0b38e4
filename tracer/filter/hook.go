package filter

import (
	"strings"

	"github.com/droptrace/droptrace/tracer/event"
)

// Hook is a netfilter hook by what it means: the kernel's numbers differ from
// family to family.
type Hook uint8

// Hooks, in the order of enum filter_hook of bpf/filter.h.
const (
	Prerouting Hook = iota
	Input
	Forward
	Output
	Postrouting
	Ingress
	Egress
	hooks
)

// NFPROTO_* of uapi linux/netfilter.h.
const (
	protoINET   = 1
	protoIPv4   = 2
	protoARP    = 3
	protoNetdev = 5
	protoBridge = 7
	protoIPv6   = 10
)

// String returns nft's name.
func (h Hook) String() string {
	if h >= hooks {
		return ""
	}
	return [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"}[h]
}

// HookOf returns the hook at which the packet was dropped. ok is false where
// netfilter had no part in that, or the hook has no such name.
func HookOf(e *event.Event) (h Hook, ok bool) {
	const ingressINET = 5 // NF_INET_INGRESS; NF_BR_BROUTING has the same number
	switch e.PF {
	case protoINET:
		if e.Hook == ingressINET {
			return Ingress, true
		}
		return Hook(e.Hook), e.Hook < ingressINET
	case protoIPv4, protoIPv6, protoBridge:
		return Hook(e.Hook), e.Hook < ingressINET
	case protoARP:
		return lookup(e.Hook, Input, Output, Forward)
	case protoNetdev:
		return lookup(e.Hook, Ingress, Egress)
	}
	return 0, false
}

func lookup(number uint8, hooks ...Hook) (Hook, bool) {
	if int(number) >= len(hooks) {
		return 0, false
	}
	return hooks[number], true
}

// parseHook takes iptables's chains too: they are named after their hooks.
func parseHook(s string) (Hook, error) {
	for h := range hooks {
		if strings.EqualFold(s, h.String()) {
			return h, nil
		}
	}
	return 0, wrong("is no hook", "want prerouting, input, forward, output, postrouting, ingress or egress")
}
