package nftables

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// Numbers of uapi/linux/netfilter/nf_tables.h that x/sys/unix lacks.
const (
	tableName   = 1 // NFTA_TABLE_NAME
	tableFlags  = 2 // NFTA_TABLE_FLAGS
	tableHandle = 4 // NFTA_TABLE_HANDLE

	chainTable  = 1  // NFTA_CHAIN_TABLE
	chainHandle = 2  // NFTA_CHAIN_HANDLE
	chainName   = 3  // NFTA_CHAIN_NAME
	chainHook   = 4  // NFTA_CHAIN_HOOK
	chainPolicy = 5  // NFTA_CHAIN_POLICY
	chainUse    = 6  // NFTA_CHAIN_USE
	chainType   = 7  // NFTA_CHAIN_TYPE
	chainFlags  = 10 // NFTA_CHAIN_FLAGS

	hookNumber   = 1 // NFTA_HOOK_HOOKNUM
	hookPriority = 2 // NFTA_HOOK_PRIORITY
	hookDevice   = 3 // NFTA_HOOK_DEV
	hookDevices  = 4 // NFTA_HOOK_DEVS

	deviceName   = 1 // NFTA_DEVICE_NAME
	devicePrefix = 2 // NFTA_DEVICE_PREFIX, from 6.16: the "eth" of "eth*"

	chainBinding = 1 << 2 // NFT_CHAIN_BINDING: the { … } of one rule, from 5.9
)

// tableMessage is one NFT_MSG_NEWTABLE.
type tableMessage struct {
	name   string
	handle uint64
	flags  uint32
}

func decodeTable(b []byte) (tableMessage, error) {
	var t tableMessage
	a := nlattr.Walk(b)
	for a.Next() {
		switch a.Type {
		case tableName:
			t.name = string(a.Text())
		case tableHandle:
			t.handle = a.Uint64()
		case tableFlags:
			t.flags = a.Uint32()
		}
	}
	return t, a.Err()
}

// chainMessage is one NFT_MSG_NEWCHAIN. Without a hook it is a chain that
// rules jump to.
type chainMessage struct {
	table    string
	name     string
	handle   uint64
	typ      string
	flags    uint32
	use      uint32 // its rules, and the jumps to it
	policy   uint32 // NF_DROP or NF_ACCEPT
	hooked   bool
	hook     uint32
	priority int32
	devices  []string
}

func decodeChain(b []byte) (chainMessage, error) {
	// The kernel sends no policy for a chain that has none.
	c := chainMessage{policy: nfAccept}
	a := nlattr.Walk(b)
	for a.Next() {
		switch a.Type {
		case chainTable:
			c.table = string(a.Text())
		case chainName:
			c.name = string(a.Text())
		case chainHandle:
			c.handle = a.Uint64()
		case chainHook:
			c.hooked = true
			a.Nested(c.hookAttr)
		case chainPolicy:
			c.policy = a.Uint32()
		case chainUse:
			c.use = a.Uint32()
		case chainType:
			c.typ = string(a.Text())
		case chainFlags:
			c.flags = a.Uint32()
		}
	}
	return c, a.Err()
}

func (c *chainMessage) hookAttr(a *nlattr.Attrs) {
	switch a.Type {
	case hookNumber:
		c.hook = a.Uint32()
	case hookPriority:
		c.priority = int32(a.Uint32())
	case hookDevice:
		// Sent beside hookDevices by kernels that know both, for old readers.
		c.addDevice(string(a.Text()))
	case hookDevices:
		a.Nested(func(a *nlattr.Attrs) {
			switch a.Type {
			case deviceName:
				c.addDevice(string(a.Text()))
			case devicePrefix:
				c.addDevice(string(a.Text()) + "*")
			}
		})
		// The kernel's order is that of its hook list; nft prints them sorted.
		slices.Sort(c.devices)
	}
}

func (c *chainMessage) addDevice(name string) {
	if !slices.Contains(c.devices, name) {
		c.devices = append(c.devices, name)
	}
}

// decodeGeneration reads the base_seq of a NFT_MSG_NEWGEN.
func decodeGeneration(b []byte) (uint32, error) {
	var (
		gen   uint32
		found bool
	)
	a := nlattr.Walk(b)
	for a.Next() {
		if a.Type == unix.NFTA_GEN_ID {
			gen, found = a.Uint32(), true
		}
	}
	if err := a.Err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("message without a generation: %w", nlattr.ErrMalformed)
	}
	return gen, nil
}
