package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/tracer/event"
	"github.com/droptrace/droptrace/tracer/filter"
)

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		spec filter.Spec
		want string // the error's beginning
	}{
		{"port too large", filter.Spec{Port: []string{"65536"}}, `--port "65536" is no port; want a number up to 65535`},
		{"negative port", filter.Spec{Sport: []string{"-1"}}, `--sport "-1" is no port; want`},
		{"open range", filter.Spec{Dport: []string{"80-"}}, `--dport "80-" is no port; want`},
		{"range of one end too large", filter.Spec{Port: []string{"1-70000"}}, `--port "1-70000" is no port; want`},
		{"range backwards", filter.Spec{Port: []string{"90-80"}}, `--port "90-80" ends before it begins; did you mean 80-90?`},
		{"unknown service", filter.Spec{Port: []string{"no-such-service"}}, `--port "no-such-service" is no service in /etc/services; want`},
		{"second of a list", filter.Spec{Port: []string{"80", "x"}}, `--port "x" is no service`},
		{"host name", filter.Spec{Host: []string{"example.org"}}, `--host "example.org" is a name, and names are not looked up; want a numeric address`},
		{"half an address", filter.Spec{Src: []string{"10.0.0"}}, `--src "10.0.0" is no address; want`},
		{"address and port", filter.Spec{Dst: []string{"10.0.0.1:80"}}, `--dst "10.0.0.1:80" has a port; give the address alone`},
		{"zone", filter.Spec{Host: []string{"fe80::1%eth0"}}, `--host "fe80::1%eth0" has a zone; give the address alone, and --iface eth0`},
		{"network too long", filter.Spec{Host: []string{"10.0.0.0/33"}}, `--host "10.0.0.0/33" has no length of a network behind the slash; want 0 to 32`},
		{"netmask with holes", filter.Spec{Host: []string{"10.0.0.0/255.0.255.0"}}, `--host "10.0.0.0/255.0.255.0" has no length`},
		{"protocol", filter.Spec{Proto: []string{"tpc"}}, `--proto "tpc" is no protocol; want tcp, udp`},
		{"protocol number", filter.Spec{Proto: []string{"256"}}, `--proto "256" is no protocol; want`},
		{"hook", filter.Spec{Hook: []string{"inputt"}}, `--hook "inputt" is no hook; want prerouting, input`},
		{"long interface", filter.Spec{Iface: []string{"abcdefghijklmnop"}}, `--iface "abcdefghijklmnop" is too long`},
		{"interface with a hole", filter.Spec{In: []string{"veth*0"}}, `--in "veth*0" has a * that is not its end; want`},
		{"no interface", filter.Spec{Out: []string{""}}, `--out "" is empty`},
		{"interface with a slash", filter.Spec{Out: []string{"a/b"}}, `--out "a/b" holds a character`},
		{"mark", filter.Spec{Mark: []string{"1/2/3"}}, `--mark "1/2/3" is no mark; want VALUE or VALUE/MASK`},
		{"mark too large", filter.Spec{Mark: []string{"0x100000000"}}, `--mark "0x100000000" is no mark`},
		{"mark outside its mask", filter.Spec{Mark: []string{"0x3/0x1"}}, `--mark "0x3/0x1" has bits outside its mask`},
		{"state", filter.Spec{CTState: []string{"stale"}}, `--ctstate "stale" is no conntrack state; want new`},
		{"table", filter.Spec{Table: []string{""}}, `--table "" is empty`},
		{"namespace not looked up", filter.Spec{Netns: []string{"blue"}}, `--netns "blue" no namespace`},
		{"reason not looked up", filter.Spec{Reason: []string{"NO_SUCH"}}, `--reason "NO_SUCH" is no drop reason of this kernel`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := filter.Parse(tt.spec)
			if err == nil {
				t.Fatalf("Parse succeeded, want %s", tt.want)
			}
			if got := err.Error(); !strings.HasPrefix(got, tt.want) || strings.Contains(got, "\n") {
				t.Errorf("error is %s, want %s", got, tt.want)
			}
			if e, ok := errors.AsType[*filter.Error](err); !ok || !strings.HasPrefix(tt.want, "--"+e.Flag+" ") {
				t.Errorf("error %v does not name the flag", err)
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	for _, tt := range []struct {
		spec filter.Spec
		want string // what Describe makes of it
	}{
		{filter.Spec{}, ""},
		{filter.Spec{Port: []string{"0", "65535", "8000-8010", "8000:8010", "http", "HTTPS", "domain"}}, "port 0,65535,8000-8010,8000:8010,http,HTTPS,domain"},
		{filter.Spec{Host: []string{"10.0.0.1", "10.1.2.3/8", "::/0", "10.0.0.0/255.255.0.0", "::ffff:10.0.0.1"}}, "host 10.0.0.1,10.1.2.3/8,::/0,10.0.0.0/255.255.0.0,::ffff:10.0.0.1"},
		{filter.Spec{Proto: []string{"TCP", "ipv6-icmp", "udplite", "0", "255"}}, "proto TCP,ipv6-icmp,udplite,0,255"},
		{filter.Spec{Iface: []string{"eth+", "veth*", "*"}, In: []string{"br-lan.5"}}, "iface eth+,veth*,* in br-lan.5"},
		{filter.Spec{Hook: []string{"INPUT", "ingress"}, Mark: []string{"0x10/0xff", "7"}}, "hook INPUT,ingress mark 0x10/0xff,7"},
		{filter.Spec{Sport: []string{"1"}, Dst: []string{"::1"}, Netfilter: true}, "sport 1 dst ::1 netfilter"},
		{filter.Spec{Netns: []string{"blue"}, NetnsInodes: []uint32{7}, CTState: []string{"NEW"}}, "netns blue ctstate NEW"},
	} {
		f, err := filter.Parse(tt.spec)
		if err != nil {
			t.Errorf("Parse: %v", err)
			continue
		}
		if got := f.Describe(); got != tt.want {
			t.Errorf("Describe() = %q, want %q", got, tt.want)
		}
	}
}

func TestZeroFilterMatchesEverything(t *testing.T) {
	var f filter.Filter
	if k, exact := f.Kernel(); k != (filter.Kernel{}) || !exact {
		t.Errorf("Kernel() = %+v, %t; want zero, true", k, exact)
	}
	if !f.MatchEvent(&event.Event{Hook: event.NoHook}) || !f.MatchResolved("", "", "") {
		t.Error("the zero filter refused an event")
	}
}

func TestHookNames(t *testing.T) {
	for _, tt := range []struct {
		pf, hook uint8
		want     string
	}{
		{2, 0, "prerouting"}, {2, 1, "input"}, {10, 2, "forward"}, {2, 3, "output"}, {10, 4, "postrouting"},
		{1, 5, "ingress"}, {5, 0, "ingress"}, {5, 1, "egress"}, {7, 0, "prerouting"},
		{3, 0, "input"}, {3, 1, "output"}, {3, 2, "forward"},
		{2, event.NoHook, ""}, {7, 5, ""}, {3, 3, ""}, {5, 2, ""}, {9, 0, ""}, {0, 0, ""},
	} {
		h, ok := filter.HookOf(&event.Event{PF: tt.pf, Hook: tt.hook})
		if ok != (tt.want != "") || ok && h.String() != tt.want {
			t.Errorf("hook %d of family %d = %v, %t; want %q", tt.hook, tt.pf, h, ok, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"80", "8000-8010", "http", "10.0.0.0/8", "fe80::1%a", "0x1/0x3", "eth+", "INPUT", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := []string{s}
		for _, spec := range []filter.Spec{
			{Port: v}, {Host: v}, {Proto: v}, {Iface: v}, {Hook: v}, {Mark: v}, {CTState: v},
		} {
			flt, err := filter.Parse(spec)
			if err != nil {
				if _, ok := errors.AsType[*filter.Error](err); !ok {
					t.Errorf("Parse(%+v): %v is no *Error", spec, err)
				}
				continue
			}
			if _, exact := flt.Kernel(); exact == (spec.CTState != nil) {
				t.Errorf("Parse(%+v): one value, exact in the kernel: %t", spec, exact)
			}
		}
	})
}
