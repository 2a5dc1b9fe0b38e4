package resolve

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/host/distribution"
	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
)

func TestTextMissingSaysWhatGivesIt(t *testing.T) {
	err := fmt.Errorf("list chain: %w: %w", nftables.ErrNoProgram, &program.NotInstalledError{Program: "iptables-nft-save"})
	if got, want := textMissing(err), "iptables-nft-save is not installed: "+distribution.Here().Install("iptables-nft-save"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	err = fmt.Errorf("list chain: %w", &nftables.OtherVersionError{Version: "1.0.6", Err: errors.New("1 rules where the kernel has 2")})
	if got := textMissing(err); !strings.HasPrefix(got, "nft 1.0.6: 1 rules where the kernel has 2; ") {
		t.Errorf("%q", got)
	}
	if got := textMissing(errors.New("read it: no space")); got != "read it: no space" {
		t.Errorf("%q", got)
	}
}
