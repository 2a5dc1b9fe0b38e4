package kernel

import (
	"slices"
	"testing"
)

func TestChooseModulesTakesWhatTheyDependOn(t *testing.T) {
	dep := `kernel/net/netfilter/nf_tables.ko.xz: kernel/net/netfilter/nfnetlink.ko.xz kernel/lib/libcrc32c.ko.xz
kernel/net/netfilter/nfnetlink.ko.xz:
kernel/lib/libcrc32c.ko.xz:
kernel/arch/x86/crypto/crc32c-intel.ko.xz: kernel/crypto/helper.ko.xz
kernel/crypto/helper.ko.xz:
kernel/drivers/net/veth.ko.xz:
kernel/drivers/net/ethernet/e1000.ko.xz:
kernel/fs/ext4/ext4.ko.xz:
`
	softdep := `# Soft dependencies extracted from modules themselves.
softdep libcrc32c pre: crc32c-intel built-in
softdep ext4 pre: crc32c
`
	want := []string{
		"kernel/arch/x86/crypto/crc32c-intel.ko.xz",
		"kernel/crypto/helper.ko.xz",
		"kernel/drivers/net/veth.ko.xz",
		"kernel/lib/libcrc32c.ko.xz",
		"kernel/net/netfilter/nf_tables.ko.xz",
		"kernel/net/netfilter/nfnetlink.ko.xz",
	}
	if got := chooseModules(dep, softdep); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
