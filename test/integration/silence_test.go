package integration

import (
	"strings"
	"testing"
)

// Echo requests that the kernel leaves unanswered are no drop: the closing words say
// where they went. Those that are answered are not spoken of.
func TestSilenceIsExplained(t *testing.T) {
	ignoring, answering := newLab(t), newLab(t)
	const sysctl = "/proc/sys/net/ipv4/icmp_echo_ignore_all"
	command(t, "", "ip", "netns", "exec", ignoring.host, "sh", "-c", "echo 1 >"+sysctl)
	ignoring.ready(t)
	answering.ready(t)
	for _, v := range []struct {
		lab  *lab
		want bool
	}{{ignoring, true}, {answering, false}} {
		r := start(t, []*lab{v.lab}, "--proto", "icmp")
		// It fails where nothing answers.
		command(t, "", "ip", "netns", "exec", v.lab.client, "sh", "-c", "ping -q -c 3 -i 0.2 -W 1 "+hostIP+" || true")
		r.stop(t)
		if got := strings.Contains(r.summary, "\n  3 IcmpInEchos: echo requests came and were not answered"); got != v.want {
			t.Errorf("said: %v, want %v:\n%s", got, v.want, r.summary)
		}
	}
}
