package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	port    = 4000
	packets = 400 // of each measure
	warm    = 50
	chain   = 100 // rules that the packet meets
)

// A case is a way to look at the machine while packets pass.
type acceptedCase struct {
	name  string
	start func(ctx context.Context, n namespace) (stop func() error, err error)
}

// accepted measures a UDP packet that goes over lo, through OUTPUT and an INPUT
// chain of 100 rules, to its socket.
func (b *bench) accepted(ctx context.Context) error {
	n, err := newNamespace()
	if err != nil {
		return err
	}
	defer n.remove()
	if _, err := n.program(acceptedRules(), "nft", "-f", "-"); err != nil {
		return err
	}
	b.row("instructions of a packet, under -icount (else ns)\tthat passes\tmore than untouched\tthat is dropped\tmore than untouched")
	var untouched cost
	for _, c := range b.acceptedCases(n) {
		stop, err := c.start(ctx, n)
		if err != nil {
			b.row("%s\tnot measured: %v", c.name, firstLine(err))
			continue
		}
		cost, err := n.packets()
		if err := stop(); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if untouched.passing == 0 {
			untouched = cost
		}
		b.row("%s\t%d\t%+d\t%d\t%+d", c.name, cost.passing.Nanoseconds(), (cost.passing - untouched.passing).Nanoseconds(),
			cost.dropped.Nanoseconds(), (cost.dropped - untouched.dropped).Nanoseconds())
	}
	return nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func acceptedRules() string {
	var s strings.Builder
	s.WriteString("table ip t {\nchain out { type filter hook output priority 0; policy accept; }\n")
	s.WriteString("chain in { type filter hook input priority 0; policy accept;\n")
	for i := range chain {
		fmt.Fprintf(&s, "udp dport %d drop\n", 10000+i)
	}
	fmt.Fprintf(&s, "udp dport %d drop\n", dropped)
	s.WriteString("}\n}\n")
	return s.String()
}

func (b *bench) acceptedCases(n namespace) []acceptedCase {
	tool := func(words, name string, args ...string) func(context.Context, namespace) (func() error, error) {
		return func(ctx context.Context, _ namespace) (func() error, error) {
			w, err := watch(ctx, io.Discard, words, name, args...)
			if err != nil {
				return nil, err
			}
			return w.stop, nil
		}
	}
	nothing := func(context.Context, namespace) (func() error, error) { return func() error { return nil }, nil }
	trace := func(plan string) func(context.Context, namespace) (func() error, error) {
		return tool("tracing drops", b.droptrace, "--json", "--probes", plan)
	}
	loader, libraries, pwru := b.pwru()
	const few = "^(kfree_skb|kfree_skb_reason|sk_skb_reason_drop|nf_hook_slow)$"
	return []acceptedCase{
		{"untouched", nothing},
		{"droptrace (auto)", trace("auto")},
		{"droptrace, filtered out", tool("tracing drops", b.droptrace, "--json", "--port", "1")},
		{"tcpdump -w", tool("listening on", "ip", "netns", "exec", string(n), "tcpdump", "-i", "lo", "-w", "/dev/null")},
		{"droptrace --probes fentry", trace("fentry")},
		{"droptrace --probes kprobe", trace("kprobe")},
		{"nft rule that traces other packets", traceRule},
		{"pwru, kfree_skb and nf_hook_slow only",
			tool("Listening for events", loader, "--library-path", libraries, pwru, "--filter-func", few, "udp")},
		{"pwru, as it comes", tool("Listening for events", loader, "--library-path", libraries, pwru, "udp")},
	}
}

// pwru runs with its own C library: the guest's may be older.
func (b *bench) pwru() (loader, libraries, program string) {
	loader = filepath.Join(b.peers, "usr/lib64/ld-linux-x86-64.so.2")
	if _, err := os.Stat(loader); err != nil {
		loader = filepath.Join(b.peers, "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
	}
	return loader, filepath.Join(b.peers, "usr/lib/x86_64-linux-gnu"), filepath.Join(b.peers, "usr/bin/pwru")
}

// traceRule is how one follows packets with nft monitor trace.
func traceRule(_ context.Context, n namespace) (func() error, error) {
	const rule = "table ip trace {\nchain c { type filter hook prerouting priority -350; ip saddr 203.0.113.1 meta nftrace set 1; }\n}\n"
	if _, err := n.program(rule, "nft", "-f", "-"); err != nil {
		return nil, err
	}
	return func() error {
		_, err := n.program("", "nft", "delete", "table", "ip", "trace")
		return err
	}, nil
}

// cost is the median time of a packet: from sendto to the end of recv, or until
// the drop's sendto returns.
type cost struct{ passing, dropped time.Duration }

func (n namespace) packets() (c cost, err error) {
	err = n.do(func() error {
		receiver, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(receiver)
		if err := unix.Bind(receiver, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		buf := make([]byte, 64)
		c.passing, err = median(port, buf, func() error {
			_, err := unix.Read(receiver, buf)
			return err
		})
		if err != nil {
			return err
		}
		c.dropped, err = median(dropped, buf, func() error { return nil })
		return err
	})
	return c, err
}

// median sends packets one by one, each with what is to be done after it.
func median(port int, buf []byte, then func() error) (time.Duration, error) {
	out, err := sender(port)
	if err != nil {
		return 0, err
	}
	defer unix.Close(out)
	var took []time.Duration
	for i := range warm + packets {
		start := time.Now()
		if _, err := unix.Write(out, buf); err != nil && err != unix.EPERM {
			return 0, err
		}
		if err := then(); err != nil {
			return 0, err
		}
		if i >= warm {
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
