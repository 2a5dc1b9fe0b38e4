package filter

import "strings"

// Describe returns the filter in a few words, such as "port 80,443 src
// 10.0.0.0/8", in the user's own; "" for one that matches everything. It holds
// the user's strings as they are: escape it for a terminal.
func (f *Filter) Describe() string {
	var b strings.Builder
	for _, flag := range [...]struct {
		name   string
		values []string
	}{
		{"port", f.spec.Port}, {"sport", f.spec.Sport}, {"dport", f.spec.Dport},
		{"host", f.spec.Host}, {"src", f.spec.Src}, {"dst", f.spec.Dst},
		{"proto", f.spec.Proto},
		{"iface", f.spec.Iface}, {"in", f.spec.In}, {"out", f.spec.Out},
		{"netns", f.spec.Netns}, {"hook", f.spec.Hook},
		{"table", f.spec.Table}, {"chain", f.spec.Chain},
		{"reason", f.spec.Reason}, {"ctstate", f.spec.CTState}, {"mark", f.spec.Mark},
	} {
		if len(flag.values) > 0 {
			b.WriteString(" " + flag.name + " " + strings.Join(flag.values, ","))
		}
	}
	if f.spec.Netfilter {
		b.WriteString(" netfilter")
	}
	return strings.TrimPrefix(b.String(), " ")
}
