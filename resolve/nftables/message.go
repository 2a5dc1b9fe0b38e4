package nftables

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
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
	a := walk(b)
	for a.next() {
		switch a.typ {
		case tableName:
			t.name = string(a.text())
		case tableHandle:
			t.handle = a.uint64()
		case tableFlags:
			t.flags = a.uint32()
		}
	}
	return t, a.err()
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
	a := walk(b)
	for a.next() {
		switch a.typ {
		case chainTable:
			c.table = string(a.text())
		case chainName:
			c.name = string(a.text())
		case chainHandle:
			c.handle = a.uint64()
		case chainHook:
			c.hooked = true
			a.nested(c.hookAttr)
		case chainPolicy:
			c.policy = a.uint32()
		case chainUse:
			c.use = a.uint32()
		case chainType:
			c.typ = string(a.text())
		case chainFlags:
			c.flags = a.uint32()
		}
	}
	return c, a.err()
}

func (c *chainMessage) hookAttr(a *attrs) {
	switch a.typ {
	case hookNumber:
		c.hook = a.uint32()
	case hookPriority:
		c.priority = int32(a.uint32())
	case hookDevice:
		// Sent beside hookDevices by kernels that know both, for old readers.
		c.addDevice(string(a.text()))
	case hookDevices:
		a.nested(func(a *attrs) {
			switch a.typ {
			case deviceName:
				c.addDevice(string(a.text()))
			case devicePrefix:
				c.addDevice(string(a.text()) + "*")
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
	a := walk(b)
	for a.next() {
		if a.typ == unix.NFTA_GEN_ID {
			gen, found = a.uint32(), true
		}
	}
	if err := a.err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("message without a generation: %w", errMalformed)
	}
	return gen, nil
}
