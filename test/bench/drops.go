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
	rounds  = 3
	flood   = 2 * time.Second
	settle  = 3 * time.Second
	dropped = 9 // the port whose packets die
)

// sighting is one run of a tool beside a flood.
type sighting struct {
	sent  uint64
	pps   float64
	lines int // of its standard output
	said  string
}

// drops measures how fast one sender can lose packets while tools look on. The
// tools take turns, so that a noisy machine is as noisy for each.
func (b *bench) drops(ctx context.Context) error {
	n, err := newNamespace()
	if err != nil {
		return err
	}
	defer n.remove()
	rules := fmt.Sprintf("table ip t {\nchain in { type filter hook input priority 0; udp dport %d counter drop; }\n}\n", dropped)
	if _, err := n.program(rules, "nft", "-f", "-"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "droptrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	tools := b.dropTools(n, dir)
	seen := make([][]sighting, len(tools))
	failed := make([]error, len(tools))
	for range rounds {
		for i, tool := range tools {
			if failed[i] != nil {
				continue
			}
			s, err := n.flooded(ctx, tool)
			if err != nil {
				failed[i] = err
				continue
			}
			seen[i] = append(seen[i], s)
		}
	}
	if failed[0] != nil {
		return failed[0]
	}
	b.row("one sender, every packet dropped by a rule\tpackets/s (median of %d)\tns more than untouched\tlines printed\tit says", rounds)
	untouched := medianPPS(seen[0])
	for i, tool := range tools {
		if failed[i] != nil {
			b.row("%s\tnot measured: %s", tool.name, firstLine(failed[i]))
			continue
		}
		pps, last := medianPPS(seen[i]), seen[i][rounds-1]
		b.row("%s\t%.0f\t%+.0f\t%s\t%s", tool.name, pps, 1e9/pps-1e9/untouched,
			share(last), strings.Join(strings.Fields(last.said), " "))
	}
	return nil
}

func medianPPS(s []sighting) float64 {
	var all []float64
	for _, x := range s {
		all = append(all, x.pps)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func share(s sighting) string {
	if s.lines == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", s.lines, s.sent)
}

// dropTool is a tool, and how to tell from its standard error that it is ready
// and what it has counted.
type dropTool struct {
	name, ready string
	args        []string
	last        string // words of the line that counts
}

// bpftrace finds tracepoints in tracefs, which not every machine has mounted. That
// it is attached it says on standard output.
const bpftrace = `mount -t tracefs t /sys/kernel/tracing; mount -t debugfs d /sys/kernel/debug; echo starting >&2
exec bpftrace -e 'tracepoint:skb:kfree_skb { printf("%p %p %d\n", args->skbaddr, args->location, args->protocol); }'`

func (b *bench) dropTools(n namespace, dir string) []dropTool {
	trace := func(name string, args ...string) dropTool {
		args = append([]string{b.droptrace, "--netns", string(n)}, args...)
		return dropTool{name: name, ready: "tracing drops", args: args, last: "drops seen"}
	}
	tools := []dropTool{
		{name: "untouched"},
		trace("droptrace, filtered out", "--port", "1"),
		trace("droptrace --json", "--json"),
		trace("droptrace -w", "-w", filepath.Join(dir, "drops.pcapng")),
		{name: "tcpdump -w", ready: "listening on", last: "captured", args: []string{
			"ip", "netns", "exec", string(n), "tcpdump", "-i", "lo", "-w", filepath.Join(dir, "all.pcap"),
		}},
	}
	return append(tools, dropTool{name: "bpftrace, three fields", ready: "starting", last: "Lost", args: []string{
		"unshare", "-m", "sh", "-c", bpftrace,
	}})
}

// flooded sends as fast as it can for a while, with the tool beside it.
func (n namespace) flooded(ctx context.Context, tool dropTool) (s sighting, err error) {
	var lines lineCounter
	if len(tool.args) > 0 {
		w, err := watch(ctx, &lines, tool.ready, tool.args[0], tool.args[1:]...)
		if err != nil {
			return s, err
		}
		time.Sleep(settle)
		defer func() {
			if stopErr := w.stop(); err == nil {
				err = stopErr
			}
			s.lines = lines.n
			for line := range strings.Lines(w.said.String()) {
				if strings.Contains(line, tool.last) {
					s.said = line
				}
			}
		}()
	}
	err = n.do(func() error {
		fd, err := sender(dropped)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		buf := make([]byte, 64)
		start := time.Now()
		for time.Since(start) < flood {
			for range 64 {
				// A local drop is no error of the sender's.
				if _, err := unix.Write(fd, buf); err != nil && err != unix.EPERM {
					return err
				}
				s.sent++
			}
		}
		s.pps = float64(s.sent) / time.Since(start).Seconds()
		return nil
	})
	return s, err
}

// lineCounter counts what it is given and keeps nothing.
type lineCounter struct{ n int }

var _ io.Writer = (*lineCounter)(nil)

func (c *lineCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			c.n++
		}
	}
	return len(p), nil
}
