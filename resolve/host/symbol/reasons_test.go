package symbol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// newSpec makes the BTF of a kernel that has these enums and no more.
func newSpec(t *testing.T, enums ...*btf.Enum) *btf.Spec {
	t.Helper()
	types := []btf.Type{&btf.Int{Name: "int", Size: 4}}
	for _, e := range enums {
		types = append(types, e)
	}
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.NativeEndian})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func newEnum(name string, values ...btf.EnumValue) *btf.Enum {
	return &btf.Enum{Name: name, Size: 4, Values: values}
}

func core() *btf.Enum {
	return newEnum("skb_drop_reason",
		btf.EnumValue{Name: "SKB_NOT_DROPPED_YET", Value: 0},
		btf.EnumValue{Name: "SKB_CONSUMED", Value: 1},
		btf.EnumValue{Name: "SKB_DROP_REASON_NOT_SPECIFIED", Value: 2},
		btf.EnumValue{Name: "SKB_DROP_REASON_NO_SOCKET", Value: 3},
		btf.EnumValue{Name: "SKB_DROP_REASON_SOCKET_FILTER", Value: 5},
		btf.EnumValue{Name: "SKB_DROP_REASON_SOCKET_RCVBUFF", Value: 6},
		btf.EnumValue{Name: "SKB_DROP_REASON_NETFILTER_DROP", Value: 12},
		btf.EnumValue{Name: "SKB_DROP_REASON_MAX", Value: 13},
		btf.EnumValue{Name: "SKB_DROP_REASON_SUBSYS_MASK", Value: 0xffff0000})
}

func subsystems() *btf.Enum {
	return newEnum("skb_drop_reason_subsys",
		btf.EnumValue{Name: "SKB_DROP_REASON_SUBSYS_CORE", Value: 0},
		btf.EnumValue{Name: "SKB_DROP_REASON_SUBSYS_MAC80211_UNUSABLE", Value: 1},
		btf.EnumValue{Name: "SKB_DROP_REASON_SUBSYS_OPENVSWITCH", Value: 2},
		btf.EnumValue{Name: "SKB_DROP_REASON_SUBSYS_NUM", Value: 3})
}

func ovs() *btf.Enum {
	return newEnum("ovs_drop_reason",
		btf.EnumValue{Name: "__OVS_DROP_REASON", Value: 2 << 16},
		btf.EnumValue{Name: "OVS_DROP_LAST_ACTION", Value: 2<<16 + 1},
		btf.EnumValue{Name: "OVS_DROP_ACTION_ERROR", Value: 2<<16 + 2},
		btf.EnumValue{Name: "OVS_DROP_MAX", Value: 2<<16 + 3})
}

func TestReasonsThatAKernelDescribesTwiceAreReadWhereTheyAgree(t *testing.T) {
	r, err := LoadReasons(newSpec(t, core(), core(), subsystems(), subsystems()))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Name(12); got != "NETFILTER_DROP" {
		t.Errorf("12 is %s", got)
	}
	other := core()
	other.Values[6].Value = 11
	if _, err := LoadReasons(newSpec(t, core(), other)); err == nil || errors.Is(err, ErrNoReasons) {
		t.Errorf("reasons that differ: %v", err)
	}
}

func TestReasonNames(t *testing.T) {
	bare, err := LoadReasons(newSpec(t, core(), subsystems()))
	if err != nil {
		t.Fatal(err)
	}
	full, err := LoadReasons(newSpec(t, core(), subsystems()), newSpec(t, ovs()))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		reasons *Reasons
		number  uint32
		want    string
	}{
		{"core", bare, 12, "NETFILTER_DROP"},
		{"core without DROP_REASON", bare, 1, "CONSUMED"},
		{"the bound is none", bare, 13, "13"},
		{"newer than the enum", bare, 99, "99"},
		{"subsystem not given", bare, 2<<16 + 1, "OPENVSWITCH_1"},
		{"unknown subsystem", bare, 9<<16 + 1, "589825"},
		{"subsystem given", full, 2<<16 + 1, "OVS_DROP_LAST_ACTION"},
		{"base of a subsystem", full, 2 << 16, "OPENVSWITCH_0"},
		{"bound of a subsystem", full, 2<<16 + 3, "OPENVSWITCH_3"},
		{"no reasons at all", nil, 12, ""},
	}
	for _, tt := range tests {
		if got := tt.reasons.Name(tt.number); got != tt.want {
			t.Errorf("%s: Name(%#x) = %q, want %q", tt.name, tt.number, got, tt.want)
		}
	}
}

func TestReasonNumbers(t *testing.T) {
	r, err := LoadReasons(newSpec(t, core()))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{
		"NETFILTER_DROP": 12, "netfilter_drop": 12, "Netfilter-Drop": 12,
		"SKB_DROP_REASON_NETFILTER_DROP": 12, " no_socket ": 3, "skb_consumed": 1,
	} {
		if got, err := r.Number(name); err != nil || got != want {
			t.Errorf("Number(%q) = %d, %v, want %d", name, got, err, want)
		}
	}
	for name, near := range map[string]string{
		"NOSOCKET": "NO_SOCKET", "netfilter": "NETFILTER_DROP", "SOCKET": "SOCKET_FILTER",
		"NO_SOKCET": "NO_SOCKET",
	} {
		_, err := r.Number(name)
		if !errors.Is(err, ErrUnknownReason) || !strings.Contains(err.Error(), near) {
			t.Errorf("Number(%q): %v, want one near %s", name, err, near)
		}
	}
	for _, name := range []string{"", "x", "MAX", strings.Repeat("long", 1000)} {
		if _, err := r.Number(name); !errors.Is(err, ErrUnknownReason) {
			t.Errorf("Number(%.10q): %v", name, err)
		}
	}
}

func TestKernelWithoutReasons(t *testing.T) {
	r, err := LoadReasons(newSpec(t))
	if !errors.Is(err, ErrNoReasons) || r != nil {
		t.Errorf("LoadReasons = %v, %v", r, err)
	}
	if _, err := r.Number("NO_SOCKET"); !errors.Is(err, ErrNoReasons) {
		t.Errorf("Number: %v", err)
	}
	if names := r.Names(); names != nil {
		t.Errorf("Names: %v", names)
	}
}

func TestReasonsOfThisKernel(t *testing.T) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skip(err)
	}
	r, err := LoadReasons(spec)
	if errors.Is(err, ErrNoReasons) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"NOT_SPECIFIED", "NO_SOCKET", "NETFILTER_DROP"} {
		n, err := r.Number(name)
		if err != nil || r.Name(n) != name {
			t.Errorf("%s: %d, %v, back %q", name, n, err, r.Name(n))
		}
	}
	if names := r.Names(); len(names) < 20 {
		t.Errorf("only %d reasons: %v", len(names), names)
	}
}

func BenchmarkReasonName(b *testing.B) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		b.Skip(err)
	}
	r, err := LoadReasons(spec)
	if err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		r.Name(12)
	}
}
