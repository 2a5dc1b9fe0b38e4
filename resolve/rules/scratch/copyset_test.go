package scratch

import (
	"strings"
	"testing"
)

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
			if len(size) == 0 || len(size) > 4 { // bytes
				t.Errorf("it takes %s bytes:\n%s", size, listed)
			}
		})
	}
}
