package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// place is where a rule stands; Number counts from 1, and 0 is the policy.
type place struct {
	Family, Table, Chain string
	Number               int
}

// counter is what a rule has counted so far.
type counter struct {
	Handle  uint64
	Packets uint64
}

type counters map[place]counter

var nftFamilies = map[byte]string{unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6"}

// readNFT reads the counters of all rules of nf_tables at once.
func readNFT(c *netlink.Conn) (counters, error) {
	messages, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.NFPROTO_UNSPEC, 0, 0, 0},
	})
	if err != nil {
		return nil, fmt.Errorf("dump rules: %w", err)
	}
	all := counters{}
	numbers := map[place]int{}
	for _, m := range messages {
		if len(m.Data) < 4 {
			continue
		}
		p := place{Family: nftFamilies[m.Data[0]]}
		var n counter
		d, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return nil, err
		}
		for d.Next() {
			switch d.Type() {
			case unix.NFTA_RULE_TABLE:
				p.Table = d.String()
			case unix.NFTA_RULE_CHAIN:
				p.Chain = d.String()
			case unix.NFTA_RULE_HANDLE:
				n.Handle = bigEndian(d.Bytes())
			case unix.NFTA_RULE_EXPRESSIONS:
				d.Nested(func(d *netlink.AttributeDecoder) error {
					for d.Next() {
						d.Nested(n.expression)
					}
					return nil
				})
			}
		}
		numbers[p]++
		p.Number = numbers[place{p.Family, p.Table, p.Chain, 0}]
		all[p] = n
	}
	return all, nil
}

func (n *counter) expression(d *netlink.AttributeDecoder) error {
	var name string
	for d.Next() {
		switch d.Type() {
		case unix.NFTA_EXPR_NAME:
			name = d.String()
		case unix.NFTA_EXPR_DATA:
			if name != "counter" {
				continue
			}
			d.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					if d.Type() == unix.NFTA_COUNTER_PACKETS {
						n.Packets = bigEndian(d.Bytes())
					}
				}
				return nil
			})
		}
	}
	return nil
}

func bigEndian(b []byte) (n uint64) {
	for _, v := range b {
		n = n<<8 | uint64(v)
	}
	return n
}

var (
	savedRule   = regexp.MustCompile(`^\[(\d+):\d+\] -A (\S+)`)
	savedPolicy = regexp.MustCompile(`^:(\S+) \S+ \[(\d+):\d+\]`)
)

// readLegacy reads the counters of rules and policies of one family.
func readLegacy(family string) (counters, error) {
	program := "iptables-legacy-save"
	if family == "ip6" {
		program = "ip6tables-legacy-save"
	}
	out, err := run("", program, "-c")
	if err != nil {
		return nil, err
	}
	all := counters{}
	numbers := map[string]int{}
	var table string
	for line := range strings.Lines(string(out)) {
		if line[0] == '*' {
			table = strings.TrimSpace(line[1:])
			clear(numbers)
		} else if m := savedRule.FindStringSubmatch(line); m != nil {
			n, _ := strconv.ParseUint(m[1], 10, 64)
			numbers[m[2]]++
			all[place{family, table, m[2], numbers[m[2]]}] = counter{Packets: n}
		} else if m := savedPolicy.FindStringSubmatch(line); m != nil {
			n, _ := strconv.ParseUint(m[2], 10, 64)
			all[place{family, table, m[1], 0}] = counter{Packets: n}
		}
	}
	return all, nil
}
