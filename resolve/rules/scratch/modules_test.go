package scratch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// fakeKernel is a kernel with those modules loaded and those to be found, with
// no list of modules where loaded is nil.
func fakeKernel(t *testing.T, loaded, loadable []string) kernel {
	t.Helper()
	k := kernel{root: t.TempDir(), release: "6.1.0-1"}
	write := func(name, content string) {
		path := filepath.Join(k.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/self/status", "")
	if loaded != nil {
		var b strings.Builder
		for _, name := range loaded {
			b.WriteString(name + " 16384 0 - Live 0x0\n")
		}
		write("proc/modules", b.String())
	}
	var b strings.Builder
	for _, name := range loadable {
		b.WriteString("kernel/net/netfilter/" + strings.ReplaceAll(name, "_", "-") + ".ko.xz: kernel/lib/x.ko\n")
	}
	write("lib/modules/6.1.0-1/modules.dep", b.String())
	return k
}

func TestModulesAreNotLoaded(t *testing.T) {
	all := []string{"nf_tables", "nft_ct", "nf_conntrack", "nft_chain_nat", "nft_compat", "ip_tables", "iptable_filter", "iptable_nat", "xt_multiport", "xt_LOG"}
	for _, test := range []struct {
		name    string
		loaded  []string
		engine  ruleset.Engine
		input   string
		missing string
	}{
		{"no nf_tables", []string{}, ruleset.NFTables, "table ip t { }", "nf_tables"},
		{"nothing missing", []string{"nf_tables"}, ruleset.NFTables, "table ip t { }", ""},
		{"ct", []string{"nf_tables"}, ruleset.NFTables, "add rule ip t c ct state new", "nft_ct nf_conntrack"},
		{"a nat chain", []string{"nf_tables", "nft_ct", "nf_conntrack"}, ruleset.NFTables, "type nat hook prerouting", "nft_chain_nat"},
		{"legacy", []string{"nf_tables"}, ruleset.IPTablesLegacy, "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT", "ip_tables iptable_filter"},
		{"another table of legacy", []string{"ip_tables", "iptable_filter"}, ruleset.IPTablesLegacy, "-t nat -A POSTROUTING -j ACCEPT", "iptable_nat"},
		{"a match", []string{"nf_tables", "nft_compat"}, ruleset.IPTablesNFT, "-A INPUT -p tcp -m multiport --dports 1,2 -j LOG", "xt_multiport xt_LOG"},
		{"nat of iptables-nft", []string{"nf_tables", "nft_compat"}, ruleset.IPTablesNFT, "*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT", "nft_chain_nat"},
		{"a kernel without modules", nil, ruleset.IPTablesNFT, "-A INPUT -m multiport", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			missing, err := fakeKernel(t, test.loaded, all).missing(test.engine, test.input)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Fields(test.missing)
			slices.Sort(missing)
			slices.Sort(want)
			if !slices.Equal(missing, want) {
				t.Errorf("missing %q, want %q", missing, want)
			}
		})
	}
}

func TestModulesThatCannotCome(t *testing.T) {
	k := fakeKernel(t, []string{}, []string{"nf_tables"})
	path := filepath.Join(k.root, "proc/sys/kernel/modules_disabled")
	os.MkdirAll(filepath.Dir(path), 0o755)
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if missing, err := k.missing(ruleset.NFTables, ""); err != nil || missing != nil {
		t.Errorf("missing %q, %v", missing, err)
	}
}

func TestNamesOfDevices(t *testing.T) {
	const input = `table netdev n {
 chain a { type filter hook ingress device eth0 priority 0; }
 chain b { type filter hook ingress devices = { eth1, "eth2.100" } priority 0; }
}
table inet f {
 set s { type iface_index; elements = { wlan0, "br0" } }
 chain c { iif eth3 drop; oif != "eth4" drop; iif { eth5, lo, 7 } drop; oifname "eth9" drop; iif vmap { eth6 : drop } }
}`
	want := []string{"br0", "eth0", "eth1", "eth2.100", "eth3", "eth4", "eth5", "eth6", "wlan0"}
	got := devices(input)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
