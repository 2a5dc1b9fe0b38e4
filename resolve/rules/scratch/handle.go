package scratch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errHandle is for handles that name something else in the copy, or nothing.
var errHandle = errors.New("handles are not those of the copy")

// chainKey is a chain of a table.
type chainKey struct {
	table tableKey
	name  string
}

// handles are those of the rules in a copy by those in the original, a table each.
type handles map[tableKey]map[uint64]uint64

// readHandles pairs the rules that were read with those that loading them made: the
// kernel counts handles anew.
func (r *nftRules) readHandles(ctx context.Context, ns Source) (handles, error) {
	c, stop, err := dialNetfilter(ctx, ns)
	if err != nil {
		return nil, err
	}
	defer stop()
	loaded := make(map[chainKey][]uint64)
	err = dumpNFT(ctx, c, unix.NFT_MSG_GETRULE, 0, nil, func(family uint8, attrs []byte) error {
		chain, handle := ruleOf(family, attrs)
		loaded[chain] = append(loaded[chain], handle)
		return nil
	})
	if err != nil {
		return nil, err
	}
	pairs := make(handles)
	for _, rule := range r.rules {
		left := loaded[rule.chain]
		if len(left) == 0 {
			return nil, fmt.Errorf("rule %d of chain %q: %w", rule.handle, rule.chain.name, errHandle)
		}
		if pairs[rule.chain.table] == nil {
			pairs[rule.chain.table] = make(map[uint64]uint64)
		}
		pairs[rule.chain.table][rule.handle], loaded[rule.chain] = left[0], left[1:]
	}
	return pairs, nil
}

// ruleOf is the chain and the handle of a rule that the kernel lists.
func ruleOf(family uint8, attrs []byte) (chain chainKey, handle uint64) {
	chain.table.family = family
	for a := range attributes(attrs) {
		switch a.typ() {
		case unix.NFTA_RULE_TABLE:
			chain.table.name = a.text()
		case unix.NFTA_RULE_CHAIN:
			chain.name = a.text()
		case unix.NFTA_RULE_HANDLE:
			if len(a.data()) == 8 {
				handle = binary.BigEndian.Uint64(a.data())
			}
		}
	}
	return chain, handle
}

// ruleHandle is a command about a rule, up to its handle. nft reads 010 and 0x10 as
// other numbers.
var ruleHandle = regexp.MustCompile(`^(\s*\w+\s+rule\s+)((?:ip|ip6|inet|arp|bridge|netdev)\s+)?(\S+)(\s+\S+\s+(?:handle|position)\s+)([1-9]\d*)\b`)

// translate gives a command of nft the handles that the copy has.
func (h handles) translate(argv []string) ([]string, error) {
	if h == nil || len(argv) == 0 || filepath.Base(argv[0]) != "nft" {
		return argv, nil
	}
	text := strings.Join(argv[1:], " ")
	m := ruleHandle.FindStringSubmatchIndex(text)
	if m == nil {
		tokens, err := nftTokens(text)
		if err == nil && (slices.Contains(tokens, "handle") || slices.Contains(tokens, "position")) {
			err = fmt.Errorf("%w: name what is meant, a rule as FAMILY TABLE CHAIN handle NUMBER", errHandle)
		}
		return argv, err
	}
	family := "ip"
	if m[4] >= 0 {
		family = strings.TrimSpace(text[m[4]:m[5]])
	}
	number, err := strconv.ParseUint(text[m[10]:m[11]], 10, 64)
	copied, ok := h[tableKey{familyNumber(family), text[m[6]:m[7]]}][number]
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: no rule of the table has handle %s", errHandle, text[m[10]:m[11]])
	}
	return []string{argv[0], text[:m[10]] + strconv.FormatUint(copied, 10) + text[m[11]:]}, nil
}
