package ruleset

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

func TestPlainNames(t *testing.T) {
	for _, name := range []string{"filter", "in", "_", "kube-proxy", "service-A/ns/svc/tcp/http__10.0.0.1/80", "f2b-table", "nat", "INPUT"} {
		if !PlainName(name) {
			t.Errorf("%q is not plain", name)
		}
	}
	for _, name := range []string{"", "drop", "a b", "a;b", "a\nb", "-a", ".a", "1a", "a*", "a#", "a\\b", `a"`, "é", "a\x00", "@a", "$a", "{"} {
		if PlainName(name) {
			t.Errorf("%q is plain", name)
		}
	}
}

// What is called plain is taken by nft as a table, a chain and a set. The words are
// those that nft's own parser has names for.
func TestNFTTakesPlainNames(t *testing.T) {
	const unshare, nft = "/usr/bin/unshare", "/usr/sbin/nft"
	words := nftsWords(t)
	var script strings.Builder
	for _, w := range words {
		if PlainName(w) {
			fmt.Fprintf(&script, "add table ip %[1]s; add chain ip %[1]s %[1]s; add set ip %[1]s %[1]s { type ipv4_addr; }; "+
				"insert rule ip %[1]s %[1]s accept; add element ip %[1]s %[1]s { 192.0.2.1 }\n", w)
		}
	}
	cmd := exec.Command(unshare, "-rn", nft, "-c", "-f", "-")
	cmd.Stdin = strings.NewReader(script.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out[:min(len(out), 1000)])
	}
	for _, w := range words {
		if nftReserves(w) && w != "last" { // taken as a name since 1.0.3
			if exec.Command(unshare, "-rn", nft, "-c", "add table ip "+w).Run() == nil {
				t.Errorf("nft takes %q, which is said to be reserved", w)
			}
		}
	}
}

// nftsWords are the words that the parser's error messages know, as its library has
// them: each within quotes.
func nftsWords(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", "cat /usr/lib/*/libnftables.so.1 | tr '\\0' '\\n' | grep -aoxE '\"[a-z0-9-]+\"' | tr -d '\"' | sort -u").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) < 200 {
		t.Fatalf("%d words of nft's parser found, %v", len(words), err)
	}
	return words
}
