package resolve

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
)

// sortSamples puts the namespace that droptrace runs in first, then by name.
func sortSamples(list []*drop.ConntrackSample) {
	slices.SortFunc(list, func(a, b *drop.ConntrackSample) int {
		if a.Netns.Own != b.Netns.Own {
			if a.Netns.Own {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Netns.Name, b.Netns.Name), cmp.Compare(a.Netns.Inode, b.Netns.Inode))
	})
}

func serviceName(s table.Service) string {
	name := conntrack.ProtocolName(s.Protocol)
	if s.Port != 0 {
		name += " " + strconv.Itoa(int(s.Port))
	}
	return name
}
