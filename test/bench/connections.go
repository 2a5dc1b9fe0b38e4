package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// connections measures what a new connection pays that gets its conntrack entry:
// a datagram over lo to an address that nobody sent to before.
func (b *bench) connections(ctx context.Context) error {
	n, err := newNamespace()
	if err != nil {
		return err
	}
	defer n.remove()
	const tracked = "table ip t {\nchain in { type filter hook input priority 0; ct state new accept; }\n}\n"
	if _, err := n.program(tracked, "nft", "-f", "-"); err != nil {
		return err
	}
	b.row("instructions of a new connection, under -icount (else ns)\tin all\tmore than untouched")
	var flow int
	var untouched time.Duration
	for _, c := range []struct {
		name, ready string
		args        []string
	}{
		{name: "untouched"},
		{"droptrace (auto)", "tracing drops", []string{"--json"}},
		{"droptrace conntrack (auto)", "tracing conntrack", []string{"conntrack", "--json"}},
		{"droptrace conntrack --probes fentry", "tracing conntrack", []string{"conntrack", "--json", "--probes", "fentry"}},
		{"droptrace conntrack --probes kprobe", "tracing conntrack", []string{"conntrack", "--json", "--probes", "kprobe"}},
		{"droptrace conntrack --probes tracepoint", "tracing conntrack", []string{"conntrack", "--json", "--probes", "tracepoint"}},
	} {
		stop := func() error { return nil }
		if c.args != nil {
			w, err := watch(ctx, io.Discard, c.ready, b.droptrace, c.args...)
			if err != nil {
				b.row("%s\tnot measured: %v", c.name, firstLine(err))
				continue
			}
			stop = w.stop
		}
		took, err := n.newConnections(&flow)
		if err := stop(); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if untouched == 0 {
			untouched = took
		}
		b.row("%s\t%d\t%+d", c.name, took.Nanoseconds(), (took - untouched).Nanoseconds())
	}
	return nil
}

// newConnections is the median time from sendto to the end of recv.
func (n namespace) newConnections(flow *int) (middle time.Duration, err error) {
	err = n.do(func() error {
		receiver, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(receiver)
		if err := unix.Bind(receiver, &unix.SockaddrInet4{Port: port}); err != nil {
			return err
		}
		out, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(out)
		buf := make([]byte, 64)
		var took []time.Duration
		for i := range warm + packets {
			*flow++
			to := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 1, byte(*flow >> 8), byte(*flow)}}
			start := time.Now()
			if err := unix.Sendto(out, buf, 0, to); err != nil {
				return err
			}
			if _, err := unix.Read(receiver, buf); err != nil {
				return err
			}
			if i >= warm {
				took = append(took, time.Since(start))
			}
		}
		slices.Sort(took)
		middle = took[len(took)/2]
		return nil
	})
	return middle, err
}
