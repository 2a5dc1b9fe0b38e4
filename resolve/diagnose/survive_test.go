package diagnose

import (
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestFixesSurviveTheirManager(t *testing.T) {
	for _, test := range []struct {
		name, table, jump string
		engine            ruleset.Engine
		says, fix         string
	}{
		{"by hand", "fw", "", ruleset.NFTables, "", "nft add rule inet fw in "},
		{"OpenWrt", "fw4", "", ruleset.NFTables, "", "uci add firewall rule && uci set 'firewall.@rule[-1].target=ACCEPT'"},
		{"NixOS, nft", "nixos-fw", "", ruleset.NFTables, "networking.firewall.allowedTCPPorts = [ 80 ];", ""},
		{"NixOS, iptables", "filter", "nixos-fw", ruleset.IPTablesNFT, "networking.firewall.allowedTCPPorts = [ 80 ];", ""},
		{"Incus", "incus", "", ruleset.NFTables, "Incus writes these rules again, and a change by hand is lost: use incus network acl", ""},
		{"Podman", "netavark", "", ruleset.NFTables, "Podman writes this table again, and the fix is lost then", "nft add rule inet netavark in "},
		{"Kubernetes", "filter", "KUBE-FIREWALL", ruleset.IPTablesNFT, "look at the Service and NetworkPolicy", ""},
	} {
		family := "inet"
		if test.engine != ruleset.NFTables {
			family = "ip"
		}
		m := newModel(test.engine, family, test.table)
		base := m.base("in", "input", "drop")
		if test.engine != ruleset.NFTables {
			base.Name = "INPUT"
		}
		var at *ruleset.Rule
		if test.jump != "" {
			c := m.chain(test.jump)
			m.rule(base.Name, "", jump(c))
			at = m.rule(test.jump, "-j DROP", drops)
		}
		w := Diagnose(dropAt(web, base, at, m.rulesets()))
		if len(w) == 0 {
			t.Errorf("%s: nothing is said", test.name)
			continue
		}
		if !strings.Contains(w[0].Message, test.says) || !strings.HasPrefix(w[0].Fix, test.fix) || test.fix == "" && w[0].Fix != "" {
			t.Errorf("%s: %+v", test.name, w[0])
		}
	}
}
