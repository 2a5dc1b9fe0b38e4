package distribution

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files are those of the distributions themselves, less what is not read.
func TestInstall(t *testing.T) {
	programs := []string{"nft", "iptables-nft-save", "ip6tables-legacy-save", "iptables-restore", "ipset", "tcpdump"}
	for file, want := range map[string]string{
		"debian":   "apt install: nftables iptables iptables iptables ipset tcpdump",
		"ubuntu":   "apt install: nftables iptables iptables iptables ipset tcpdump",
		"mint":     "apt install: nftables iptables iptables iptables ipset tcpdump",
		"fedora":   "dnf install: nftables iptables-nft iptables-legacy iptables-nft ipset tcpdump",
		"rocky":    "dnf install: nftables iptables-nft iptables-legacy iptables-nft ipset tcpdump",
		"amazon":   "dnf install: nftables iptables-nft iptables-legacy iptables-nft ipset tcpdump",
		"leap":     "zypper install: nftables iptables iptables iptables ipset tcpdump",
		"sles":     "zypper install: nftables iptables iptables iptables ipset tcpdump",
		"alpine":   "apk add: nftables iptables iptables-legacy iptables ipset tcpdump",
		"arch":     "pacman -S: nftables iptables iptables iptables ipset tcpdump",
		"manjaro":  "pacman -S: nftables iptables iptables iptables ipset tcpdump",
		"cos":      "install: nftables iptables iptables iptables ipset tcpdump",
		"empty":    "install: nftables iptables iptables iptables ipset tcpdump",
		"unquoted": "dnf install: nftables iptables-nft iptables-legacy iptables-nft ipset tcpdump",
	} {
		f, err := os.Open(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		d := Parse(f)
		f.Close()
		command, names, _ := strings.Cut(want, ": ")
		for i, name := range strings.Fields(names) {
			if got := d.Install(programs[i]); got != command+" "+name {
				t.Errorf("%s: %s: %q, want %q", file, programs[i], got, command+" "+name)
			}
		}
	}
}
