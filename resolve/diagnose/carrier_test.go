package diagnose

import (
	"strings"
	"testing"
)

func TestCarrierOfWhatIsElsewhere(t *testing.T) {
	d := newDiagnosis(&Case{})
	for kind, want := range map[string]string{
		"veth":    "its other end, in another network namespace, is down",
		"macvlan": "its parent, in another network namespace, is down or has no carrier",
	} {
		w := d.carrier("eth0", &Interface{Kind: kind, Up: true, Below: []Lower{{}}})
		if !strings.HasSuffix(w.Message, want) {
			t.Errorf("%s: %q, want %q", kind, w.Message, want)
		}
	}
}

func TestCarrierWithoutParent(t *testing.T) {
	w := newDiagnosis(&Case{}).carrier("dummy0", &Interface{Kind: "dummy", Up: true})
	if want := "dummy0 (dummy) has no carrier"; w.Message != want {
		t.Errorf("got %q, want %q", w.Message, want)
	}
}

// What an external VXLAN lacks is the metadata of a route or program.
func TestNoRemoteOfVXLAN(t *testing.T) {
	for flowBased, want := range map[bool]int{false: 1, true: 0} {
		p := traffic{src: "10.0.0.1", dst: "10.0.0.2", dport: 80, in: "vx0"}.packet()
		c := &Case{Packet: p, Cause: "kernel", Symbol: "vxlan_xmit",
			Machine: &machine{interfaces: map[string]Interface{"vx0": {Kind: "vxlan", FlowBased: flowBased, Up: true, Carrier: true}}}}
		if got := newDiagnosis(c).noRemote("vxlan_xmit"); len(got) != want {
			t.Errorf("external %v: %+v", flowBased, got)
		}
	}
}
