package symbol

import (
	"os"
	"strings"
	"testing"
	"unicode"
)

// TestEveryReasonHasWords is of all reasons that kernels up to 7.3 give.
func TestEveryReasonHasWords(t *testing.T) {
	b, err := os.ReadFile("testdata/reasons.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		reason := strings.TrimSpace(line)
		if reason == "" || reason[0] == '#' {
			continue
		}
		n++
		text := Explain("any", reason)
		switch {
		case withoutWords(reason):
			if text != "" {
				t.Errorf("%s: %q, want none", reason, text)
			}
		case text == "", text == Newer:
			t.Errorf("%s has no words", reason)
		case strings.ContainsAny(text, ".\n") && strings.HasSuffix(text, ".") || unicode.IsUpper(rune(text[0])) && unicode.IsLower(rune(text[1])) && !strings.HasPrefix(text, "Wi-Fi") && !strings.HasPrefix(text, "Open vSwitch"):
			t.Errorf("%s: %q is no part of a sentence", reason, text)
		}
	}
	if n < 190 {
		t.Errorf("%d reasons, want those of the kernel and its subsystems", n)
	}
}

func TestReasonThatIsNewer(t *testing.T) {
	if got := Explain("any", "SOMETHING_OF_2030"); got != Newer {
		t.Errorf("%q, want %q", got, Newer)
	}
	for _, reason := range []string{"NETFILTER_DROP", "NOT_SPECIFIED", "OPENVSWITCH_3", "MAC80211_UNUSABLE_7", "QDISC_12", "200", "3"} {
		if got := Explain("any", reason); got != "" {
			t.Errorf("%s: %q, want nothing", reason, got)
		}
	}
}
