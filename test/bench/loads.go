package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// load is a ruleset or a machine that is larger than most.
type load struct {
	name       string
	namespaces int // beside the one that is looked at
	apply      func(namespace) error
}

// loads measures what the size of a ruleset costs: until droptrace is attached,
// from the first packet to its line with the rule's text, the memory at its peak,
// and until it is detached.
func (b *bench) loads(ctx context.Context) error {
	b.row("load\tattached after\tfirst drop told after\tpeak memory\tdetached after")
	for _, l := range largeLoads() {
		if err := b.load(ctx, l); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

func (b *bench) load(ctx context.Context, l load) error {
	for range l.namespaces {
		n, err := newNamespace()
		if err != nil {
			return err
		}
		defer n.remove()
	}
	n, err := newNamespace()
	if err != nil {
		return err
	}
	defer n.remove()
	if err := l.apply(n); err != nil {
		return err
	}
	pipe, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer pipe.Close()
	w, err := watch(ctx, out, "tracing drops", b.droptrace, "--json", "--port", fmt.Sprint(dropped))
	out.Close()
	if err != nil {
		return err
	}
	told, err := n.firstDrop(pipe)
	if err != nil {
		return errors.Join(err, w.stop())
	}
	time.Sleep(settle) // the rules are still read for causes
	kib, err := w.memory()
	if err != nil {
		return errors.Join(err, w.stop())
	}
	start := time.Now()
	if err := w.stop(); err != nil {
		return err
	}
	b.row("%s\t%v\t%v\t%.1f MiB\t%v", l.name, w.ready.Round(time.Millisecond), told.Round(time.Millisecond),
		float64(kib)/1024, time.Since(start).Round(time.Millisecond))
	return nil
}

// firstDrop sends one packet and waits for a line that has a rule's text.
func (n namespace) firstDrop(lines *os.File) (time.Duration, error) {
	start := time.Now()
	err := n.do(func() error {
		fd, err := sender(dropped)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if _, err := unix.Write(fd, []byte("x")); err != nil && err != unix.EPERM {
			return err
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := lines.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(lines).ReadBytes('\n')
	if err != nil {
		return 0, err
	}
	if !bytes.Contains(line, []byte(`"text"`)) {
		return 0, fmt.Errorf("no rule's text in %s", line)
	}
	return time.Since(start), nil
}

func largeLoads() []load {
	const many = 10_000
	last := fmt.Sprintf("udp dport %d counter drop\n", dropped)
	nft := func(body string) func(namespace) error {
		return func(n namespace) error {
			_, err := n.program("table ip t {\n"+body+"}\n", "nft", "-f", "-")
			return err
		}
	}
	restore := func(program, body string) func(namespace) error {
		return func(n namespace) error {
			_, err := n.program("*filter\n:INPUT ACCEPT [0:0]\n"+body+"COMMIT\n", program)
			return err
		}
	}
	const head = "chain in { type filter hook input priority 0;\n"
	xt := numbered(many, func(i int) string {
		return fmt.Sprintf("-A INPUT -s 10.%d.%d.1/32 -p tcp -m tcp --dport %d -j ACCEPT\n", i/256, i%256, 1+i%60000)
	}) + fmt.Sprintf("-A INPUT -p udp -m udp --dport %d -j DROP\n", dropped)
	return []load{
		{"one rule", 0, nft(head + last + "}\n")},
		{"10,000 rules of nftables", 0, nft(head + numbered(many, func(i int) string {
			return fmt.Sprintf("ip saddr 10.%d.%d.1 tcp dport %d accept\n", i/256, i%256, 1+i%60000)
		}) + last + "}\n")},
		{"1,000 chains of nftables", 0, nft(numbered(1000, func(i int) string {
			return fmt.Sprintf("chain c%d { tcp dport %d accept; }\n", i, 1+i)
		}) + head + numbered(1000, func(i int) string { return fmt.Sprintf("jump c%d\n", i) }) + last + "}\n")},
		{"10,000 rules of iptables-nft", 0, restore("iptables-nft-restore", xt)},
		{"10,000 rules of iptables-legacy", 0, restore("iptables-legacy-restore", xt)},
		{"1,000 namespaces", 1000, nft(head + last + "}\n")},
	}
}

func numbered(n int, line func(int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i))
	}
	return b.String()
}
