package near

import (
	"fmt"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	flags := []string{"port", "sport", "dport", "proto", "probes", "output", "in", "out", "iface"}
	spaces := []string{"web-1", "web-2", "web-3", "web-4", "db", "web-1"}
	reasons := []string{"NO_SOCKET", "NETFILTER_DROP", "TCP_CSUM", "UDP_CSUM", "SOCKET_RCVBUFF"}
	for _, tt := range []struct {
		name  string
		names []string
		want  string
	}{
		{"prot", flags, "[proto port]"},
		{"ports", flags, "[port]"},
		{"outpt", flags, "[output]"},
		{"xyzzy", flags, "[]"},
		{"ifaces", flags, "[iface]"},
		{"pr", flags, "[probes proto]"},
		{"ni", flags, "[in]"},
		{"", flags, "[]"},
		{"web1", spaces, "[web-1]"},
		{"wbe-4", spaces, "[web-4]"},
		{"web-5", spaces, "[web-1 web-2 web-3]"},
		{"WEB-4", spaces, "[web-4 web-1 web-2]"},
		{"d", spaces, "[db]"},
		{"mail", spaces, "[]"},
		{strings.Repeat("x", 1<<16), spaces, "[]"},
		{"NETFILTER", reasons, "[NETFILTER_DROP]"},
		{"CSUM", reasons, "[TCP_CSUM UDP_CSUM]"},
	} {
		if got := fmt.Sprint(Names(tt.name, tt.names)); got != tt.want {
			t.Errorf("%.20q: %s, want %s", tt.name, got, tt.want)
		}
	}
}
