package console

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/resolve/live"
)

// FilterFlag ties a list flag to its field.
type FilterFlag struct {
	Name, alias, usage string
	Values             *[]string
}

// FilterList is the filters in the order of --help.
type FilterList []FilterFlag

// Filters lists the filter flags with their fields of f.
func Filters(f *live.Filter) FilterList {
	return FilterList{
		{"port", "", "`PORT` source or destination port: 80, 8000-8010, http", &f.Port},
		{"sport", "", "`PORT` source port", &f.Sport},
		{"dport", "", "`PORT` destination port", &f.Dport},
		{"host", "", "`ADDRESS` source or destination: 10.0.0.1, 2001:db8::/32", &f.Host},
		{"src", "", "`ADDRESS` source address or network", &f.Src},
		{"dst", "", "`ADDRESS` destination address or network", &f.Dst},
		{"proto", "", "`PROTO` tcp, udp, icmp and others, or a number", &f.Proto},
		{"iface", "i", "`NAME` in or out interface", &f.Iface},
		{"in", "", "`NAME` in interface", &f.In},
		{"out", "", "`NAME` out interface", &f.Out},
		{"netns", "", "`NETNS` network namespace: a name, a path, pid:N, inode:N", &f.Netns},
		{"hook", "", "`HOOK` prerouting, input, forward, output, postrouting", &f.Hook},
		{"table", "", "`NAME` table of the dropping rule", &f.Table},
		{"chain", "", "`NAME` chain of the dropping rule", &f.Chain},
		{"reason", "", "`REASON` the kernel's drop reason: NO_SOCKET", &f.Reason},
		{"ctstate", "", "`STATE` conntrack: new, established, related, invalid", &f.CTState},
		{"mark", "", "`MARK[/MASK]` packet mark: 0x1/0xff", &f.Mark},
	}
}

// Flags declares the list as flags of the command line.
func (l FilterList) Flags() []cli.Flag {
	var flags []cli.Flag
	for _, f := range l {
		flag := &cli.StringSliceFlag{Name: f.Name, Category: FilterFlags, Usage: f.usage}
		if f.alias != "" {
			flag.Aliases = []string{f.alias}
		}
		flags = append(flags, flag)
	}
	return flags
}

// Words describes what is asked for.
func Words(c *live.Config) []string {
	words := FilterWords(&c.Filter)
	if c.Expression != "" {
		words = append(words, c.Expression)
	}
	return words
}

// FilterWords describes a filter as it was asked for.
func FilterWords(f *live.Filter) []string {
	var words []string
	for _, flag := range Filters(f) {
		if len(*flag.Values) > 0 {
			words = append(words, flag.Name+" "+strings.Join(*flag.Values, ","))
		}
	}
	if f.Netfilter {
		words = append(words, "netfilter only")
	}
	return words
}
