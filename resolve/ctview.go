package resolve

import (
	"context"
	"errors"
	"time"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
)

const (
	// usageFor is how long a reading of a table's size serves.
	usageFor = 200 * time.Millisecond
	// growthOver is the least time between the readings that growth is told by.
	growthOver = time.Second

	// lookupsPerSecond bounds single lookups, about 30 µs each.
	lookupsPerSecond = 2000

	// A count of ports reads the whole table, about 1 µs an entry: with a
	// pause of so many times what it took it costs no more than 5 %.
	poolPause = 20
	poolsKept = 256
)

// ctView is what is known of a namespace's conntrack table. It is asked only
// when something failed.
type ctView struct {
	reader *table.Reader

	now    *drop.ConntrackTable
	read   time.Time
	before *drop.ConntrackTable // an older reading, for growth
	since  time.Time

	lookups     int
	lookupsFrom time.Time
	found       map[lookupKey]*table.Entry // in this second

	pools    map[table.Tuple]*drop.PortPool
	poolNext time.Time // of the table as a whole, too
	missed   bool      // a diagnosis went without what a later one may have
}

var errTooMany = errors.New("too many lookups")

func (v *ctView) open(n *namespace, netlink bool) *table.Reader {
	if v.reader == nil && n.handle != nil {
		v.reader = table.New(n.handle, netlink)
	}
	return v.reader
}

func (v *ctView) close() {
	if v.reader != nil {
		v.reader.Close()
	}
}

// usage is how full the table is; nil where that cannot be read.
func (v *ctView) usage(n *namespace, now time.Time) *drop.ConntrackTable {
	if v.now != nil && now.Sub(v.read) < usageFor {
		return v.now
	}
	if n.handle == nil {
		return nil
	}
	var l table.Limits
	err := n.handle.Do(func() (err error) { l, err = table.ReadLimits(); return err })
	if err != nil {
		return nil
	}
	u := &drop.ConntrackTable{Count: l.Count, Max: l.Max, Buckets: l.Buckets}
	if v.before == nil || now.Sub(v.since) > 10*growthOver {
		v.before, v.since = u, now
	} else if passed := now.Sub(v.since); passed >= growthOver {
		growth := int(float64(int64(u.Count)-int64(v.before.Count)) / passed.Seconds())
		u.Growth = &growth
	} else if v.now != nil {
		u.Growth = v.now.Growth
	}
	v.now, v.read = u, now
	return u
}

type lookupKey struct {
	tuple table.Tuple
	zone  uint16
}

// lookup finds an entry, as long as there are not too many to look for. What was
// found serves for a second: where a pool is used up one entry beats thousands.
func (v *ctView) lookup(ctx context.Context, n *namespace, netlink bool, now time.Time, t *table.Tuple, zone uint16) (*table.Entry, error) {
	if now.Sub(v.lookupsFrom) >= time.Second {
		v.lookups, v.lookupsFrom = 0, now
		v.found = make(map[lookupKey]*table.Entry)
	}
	key := lookupKey{*t, zone}
	if e := v.found[key]; e != nil {
		return e, nil
	}
	v.lookups++
	r := v.open(n, netlink)
	if r == nil || v.lookups > lookupsPerSecond {
		return nil, errTooMany
	}
	e, err := r.Lookup(ctx, t, zone)
	if err == nil {
		v.found[key] = e
	}
	return e, err
}

// pool counts the ports in use, or returns an earlier count where it is too soon
// for another.
func (v *ctView) pool(ctx context.Context, n *namespace, netlink bool, now time.Time, reply *table.Tuple) *drop.PortPool {
	key := *reply
	key.DestinationPort = 0
	if now.Before(v.poolNext) {
		return v.pools[key]
	}
	r := v.open(n, netlink)
	if r == nil {
		return nil
	}
	p, err := r.PoolOf(ctx, reply)
	took := time.Since(now)
	v.poolNext = now.Add(poolPause * took)
	if err != nil {
		return v.pools[key]
	}
	if v.pools == nil || len(v.pools) >= poolsKept {
		v.pools = make(map[table.Tuple]*drop.PortPool)
	}
	v.pools[key] = conntrack.PoolOf(p)
	return v.pools[key]
}

// eachLimit bounds one reading of the whole table.
const eachLimit = 100 * time.Millisecond

// each visits all entries, where that is not too soon again or takes too long.
func (v *ctView) each(n *namespace, netlink bool, now time.Time, visit func(*table.Entry) error) error {
	if now.Before(v.poolNext) {
		v.missed = true
		return errTooMany
	}
	r := v.open(n, netlink)
	if r == nil {
		return errTooMany
	}
	ctx, cancel := context.WithTimeout(context.Background(), eachLimit)
	defer cancel()
	begin := time.Now()
	err := r.Each(ctx, visit)
	v.missed = v.missed || err != nil
	v.poolNext = now.Add(poolPause * time.Since(begin))
	return err
}
