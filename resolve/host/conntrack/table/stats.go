package table

import "github.com/droptrace/droptrace/resolve/drop"

// CPU is what one CPU counted (struct ip_conntrack_stat). The kernel's counters
// are 32 bits wide and wrap.
type CPU struct {
	ID            int
	Found         uint32
	Invalid       uint32
	Insert        uint32 // 0 since 5.9 except for entries made by ctnetlink and NAT's like
	InsertFailed  uint32
	Drop          uint32
	EarlyDrop     uint32
	Error         uint32
	SearchRestart uint32
	ClashResolve  uint32 // 5.9 and later
	ChainTooLong  uint32 // 5.15 and later
}

// Stats are a namespace's counters, one entry a CPU that exists.
type Stats []CPU

// add counts what one CPU has.
func add(c *drop.ConntrackCounts, d *CPU) {
	c.Insert += uint64(d.Insert)
	c.InsertFailed += uint64(d.InsertFailed)
	c.Drop += uint64(d.Drop)
	c.EarlyDrop += uint64(d.EarlyDrop)
	c.ClashResolve += uint64(d.ClashResolve)
	c.ChainTooLong += uint64(d.ChainTooLong)
	c.Invalid += uint64(d.Invalid)
	c.SearchRestart += uint64(d.SearchRestart)
	c.Found += uint64(d.Found)
}

// Sum adds the CPUs up, as conntrack -S shows them one by one.
func (s Stats) Sum() drop.ConntrackCounts {
	var c drop.ConntrackCounts
	for i := range s {
		add(&c, &s[i])
	}
	return c
}

// Since returns what was counted after an earlier reading. A counter that wrapped
// counts on; a CPU that was not there before counts whole.
func (s Stats) Since(earlier Stats) drop.ConntrackCounts {
	before := make(map[int]*CPU, len(earlier))
	for i := range earlier {
		before[earlier[i].ID] = &earlier[i]
	}
	var c drop.ConntrackCounts
	for i := range s {
		d := s[i]
		if b := before[d.ID]; b != nil {
			d.subtract(b)
		}
		add(&c, &d)
	}
	return c
}

func (c *CPU) subtract(b *CPU) {
	c.Found -= b.Found
	c.Invalid -= b.Invalid
	c.Insert -= b.Insert
	c.InsertFailed -= b.InsertFailed
	c.Drop -= b.Drop
	c.EarlyDrop -= b.EarlyDrop
	c.Error -= b.Error
	c.SearchRestart -= b.SearchRestart
	c.ClashResolve -= b.ClashResolve
	c.ChainTooLong -= b.ChainTooLong
}
