package live

import (
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/resolve/host/netns"
)

// What a CPU's backlog drops is counted for the machine: every namespace shows it.
func TestCountersOfTheMachineAreNamedOnce(t *testing.T) {
	namespaces := []netns.Namespace{{Inode: 1, Name: "red"}, {Inode: 2, Name: "blue"}}
	before := map[uint32]machine.Counters{1: {"softnet dropped": 1, "UdpNoPorts": 1}, 2: {"softnet dropped": 1, "UdpNoPorts": 1}}
	now := map[uint32]machine.Counters{1: {"softnet dropped": 9, "UdpNoPorts": 3}, 2: {"softnet dropped": 9, "UdpNoPorts": 2}}
	want := []string{"8 softnet dropped: ", "2 UdpNoPorts in netns red: ", "1 UdpNoPorts in netns blue: "}
	got := grown(namespaces, before, now)
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i, line := range got {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("got %q, want %q", line, want[i])
		}
	}
}
