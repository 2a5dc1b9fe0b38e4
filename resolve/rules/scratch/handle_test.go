package scratch

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestHandlesAreThoseOfTheOriginal(t *testing.T) {
	from, to := newScratch(t), newScratch(t)
	err := from.LoadNFT(t.Context(), "table inet f {\n chain c {\n tcp dport 1 drop\n tcp dport 2 drop\n tcp dport 3 drop\n tcp dport 4 drop\n }\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	handle := func(n *Namespace, rule string) string {
		t.Helper()
		m := regexp.MustCompile(regexp.QuoteMeta(rule) + ` # handle (\d+)`).FindStringSubmatch(inside(t, n, "", "nft", "-a", "list", "ruleset"))
		if m == nil {
			t.Fatalf("no rule %q", rule)
		}
		return m[1]
	}
	// What comes behind has other numbers in the copy then.
	inside(t, from, "", "nft", "delete", "rule", "inet", "f", "c", "handle", handle(from, "tcp dport 1 drop"))
	third := handle(from, "tcp dport 3 drop")
	if err := to.Copy(t.Context(), from, readAll(t, from)); err != nil {
		t.Fatal(err)
	}
	if third == handle(to, "tcp dport 3 drop") {
		t.Fatal("the copy has the same handles, so that this test says nothing")
	}
	for _, command := range [][]string{
		{"nft", "add rule inet f c position " + third + ` accept comment "a  b"`},
		{"nft", "delete", "rule", "inet", "f", "c", "handle", third},
	} {
		if _, err := to.Run(t.Context(), command); err != nil {
			t.Fatalf("%q: %v", command, err)
		}
	}
	got := strings.Join(strings.Fields(inside(t, to, "", "nft", "list", "chain", "inet", "f", "c")), " ")
	if want := `tcp dport 2 drop accept comment "a b" tcp dport 4 drop`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, command := range []string{"delete rule inet f c handle 9999", "delete rule ip f c handle " + third, "delete chain inet f handle 1",
		// nft reads these as numbers, too: 4, and 8.
		"delete rule inet f c handle 0x4", "delete rule inet f c handle 010", "replace rule inet f c handle 0x4 accept"} {
		if _, err := to.Run(t.Context(), []string{"nft", command}); !errors.Is(err, errHandle) {
			t.Errorf("%q: %v", command, err)
		}
	}
	if _, err := to.handles.translate([]string{"iptables-nft", "-A", "INPUT", "-m", "comment", "--comment", "handle"}); err != nil {
		t.Error(err)
	}
}
