package scratch

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/budget"
)

// Another's sets may have millions of elements.
func TestCopyStaysWithinItsBudget(t *testing.T) {
	from := newScratch(t)
	var sets strings.Builder
	sets.WriteString("create large hash:ip\n")
	for i := range 10_000 {
		fmt.Fprintf(&sets, "add large 10.0.%d.%d\n", i>>8, i&255)
	}
	inside(t, from, sets.String(), "ipset", "restore")
	text := "*filter\n-A INPUT -m set --match-set large src -j DROP\nCOMMIT\n"
	inside(t, from, text, "iptables-nft-restore")
	rules := readAll(t, from)
	for limit, want := range map[int64]error{64 << 10: budget.ErrLimit, 8 << 20: nil} {
		to := newScratch(t)
		ctx := budget.With(t.Context(), budget.New(limit, nil))
		if err := to.Copy(ctx, from, rules); !errors.Is(err, want) {
			t.Errorf("with %d bytes: got %v, want %v", limit, err, want)
		}
	}
}

// A set that is made to skip an index takes little memory, however large the one behind
// it is. What a set takes the kernel says (IPSET_ATTR_MEMSIZE, in ipset list).
func TestSetsThatSkipAnIndexAreSmall(t *testing.T) {
	for _, set := range []string{
		"hash:ip hashsize 65536 maxelem 1000000", "hash:net family inet6 hashsize 65536",
		"bitmap:ip range 10.0.0.0/16 comment", "bitmap:ip,mac range 10.0.0.0/16", "bitmap:port range 0-65535 counters",
		"list:set size 1000",
	} {
		t.Run(set, func(t *testing.T) {
			from, to := newScratch(t), newScratch(t)
			inside(t, from, "create large "+set+"\n", "ipset", "restore")
			sets, err := listIPSets(t.Context(), from)
			if err != nil || len(sets) != 1 {
				t.Fatalf("got %d sets: %v", len(sets), err)
			}
			c, stop, err := dialNetfilter(t.Context(), to)
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			if err := ipsetDo(c, ipsetCreate, []byte("filler\x00"), sets[0].small); err != nil {
				t.Fatal(err)
			}
			listed := inside(t, to, "", "ipset", "list", "-t")
			_, size, _ := strings.Cut(listed, "Size in memory: ")
			size, _, _ = strings.Cut(size, "\n")
			if strings.Contains(listed, "hashsize 65536") || len(size) == 0 || len(size) > 4 { // bytes
				t.Errorf("it takes %s bytes:\n%s", size, listed)
			}
		})
	}
}
