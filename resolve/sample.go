package resolve

import (
	"context"
	"errors"
	"time"

	"github.com/droptrace/droptrace/resolve/conntrack"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/netfilter"
)

// listEvery is how often new namespaces are looked for: that takes 5 µs a process.
const listEvery = 5 * time.Second

// Sampler reads the conntrack tables of namespaces again and again. It is used by
// one goroutine.
type Sampler struct {
	// Only these namespaces; nil: every one that has conntrack in use.
	Only []netns.Namespace
	// Ctnetlink is in the kernel: it is asked, and no module is loaded by that.
	Ctnetlink bool
	// Fill says whose table to look into, by how full it is.
	Fill func(drop.ConntrackTable) bool
	// FillSize is the length of its lists.
	FillSize int

	own    uint32
	spaces map[uint32]*sampled
	listed time.Time
}

type sampled struct {
	found    netns.Namespace
	info     drop.Netns
	handle   *netns.Handle // nil between samples where too many would be open
	reader   *table.Reader
	stats    table.Stats
	limits   table.Limits
	at       time.Time
	fillNext time.Time
}

// Close lets every namespace go.
func (s *Sampler) Close() {
	for inode, n := range s.spaces {
		n.close()
		delete(s.spaces, inode)
	}
}

func (n *sampled) open(ctnetlink bool) error {
	h, err := netns.Open(n.found)
	if err != nil {
		return err
	}
	n.handle, n.reader = h, table.New(h, ctnetlink)
	return nil
}

func (n *sampled) close() {
	if n.handle != nil {
		n.reader.Close()
		n.handle.Close()
		n.handle = nil
	}
}

// Sample reads every namespace once. Those that never used conntrack are left
// out unless they were asked for. The error is [table.ErrNoConntrack] where the
// kernel has none.
func (s *Sampler) Sample(ctx context.Context) ([]*drop.ConntrackSample, error) {
	if err := s.list(ctx); err != nil {
		return nil, err
	}
	var out []*drop.ConntrackSample
	var failed error
	for inode, n := range s.spaces {
		closed := n.handle == nil
		var sample *drop.ConntrackSample
		var err error
		if closed {
			err = n.open(s.Ctnetlink)
		}
		if err == nil {
			sample, err = s.sample(ctx, n)
		}
		if closed {
			n.close()
		}
		switch {
		case ctx.Err() != nil:
			return out, ctx.Err()
		case errors.Is(err, table.ErrNoConntrack):
			failed = err
			continue
		case err != nil: // it is going
			n.close()
			delete(s.spaces, inode)
			s.listed = time.Time{}
			continue
		}
		if len(s.Only) == 0 && sample.Table.Count == 0 && sample.Total == (drop.ConntrackCounts{}) {
			continue
		}
		out = append(out, sample)
	}
	if len(out) == 0 {
		return nil, failed
	}
	sortSamples(out)
	return out, nil
}

func (s *Sampler) list(ctx context.Context) error {
	if time.Since(s.listed) < listEvery {
		return nil
	}
	all := s.Only
	if len(all) == 0 {
		var err error
		if all, err = netns.List(ctx); err != nil {
			return err
		}
	}
	if s.spaces == nil {
		own, err := netns.Current()
		if err != nil {
			return err
		}
		s.own, s.spaces = own.Inode, make(map[uint32]*sampled)
	}
	s.listed = time.Now()
	for _, n := range all {
		if s.spaces[n.Inode] != nil {
			continue
		}
		info := drop.Netns{Inode: n.Inode, Name: n.Name, Own: n.Inode == s.own}
		if n.Name == "" && !info.Own {
			info.PID, info.Command = n.PID, n.Command
		}
		space := &sampled{found: n, info: info}
		if len(s.spaces) < netns.OpenAtMost() && space.open(s.Ctnetlink) != nil {
			continue // gone
		}
		s.spaces[n.Inode] = space
	}
	return nil
}

func (s *Sampler) sample(ctx context.Context, n *sampled) (*drop.ConntrackSample, error) {
	limits, err := n.reader.Limits(ctx)
	if err != nil {
		return nil, err
	}
	stats, err := n.reader.Stats(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := &drop.ConntrackSample{
		Type: "sample", Schema: drop.Schema, Time: now, Netns: n.info,
		Table: drop.ConntrackTable{Count: limits.Count, Max: limits.Max, Buckets: limits.Buckets},
		Total: stats.Sum(),
	}
	if passed := now.Sub(n.at); !n.at.IsZero() && passed > 0 {
		out.Delta = new(stats.Since(n.stats))
		out.Milliseconds = int(passed.Milliseconds())
		out.Table.Growth = new(int(float64(int64(limits.Count)-int64(n.limits.Count)) / passed.Seconds()))
	}
	n.stats, n.limits, n.at = stats, limits, now
	if s.Fill != nil && s.Fill(out.Table) && !now.Before(n.fillNext) {
		if err := s.fill(ctx, n, out); err != nil && !errors.Is(err, table.ErrNoNetlink) {
			return nil, err
		}
		// Reading entries takes locks that new connections want, too.
		n.fillNext = time.Now().Add(max(10*time.Second, 50*time.Since(now)))
	}
	return out, nil
}

func (s *Sampler) fill(ctx context.Context, n *sampled, out *drop.ConntrackSample) error {
	c, err := n.reader.Census(ctx, s.FillSize)
	if err != nil {
		return err
	}
	f := &drop.Fill{Entries: c.Entries}
	for _, r := range c.States {
		state := drop.FillState{
			Protocol: conntrack.ProtocolName(r.Key.Protocol), Count: r.Count,
			Unreplied: r.Key.Unreplied, Assured: r.Key.Assured,
		}
		if state.Protocol == "tcp" {
			state.State = netfilter.TCPState(r.Key.TCPState)
		}
		f.States = append(f.States, state)
	}
	for _, r := range c.Sources {
		f.Sources = append(f.Sources, drop.FillCount{Key: r.Key.String(), Count: r.Count - r.Error})
	}
	for _, r := range c.Destinations {
		f.Destinations = append(f.Destinations, drop.FillCount{Key: serviceName(r.Key), Count: r.Count - r.Error})
	}
	out.Fill = f
	return nil
}
