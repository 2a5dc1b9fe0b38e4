package conntrack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/host/symbol"
)

// conntrackOnce prints how every table stands, and what its counters are. It
// needs no probe; the interval lets it tell how fast tables grow.
func conntrackOnce(ctx context.Context, o conntrackOptions, t console.Terminal) error {
	symbols, err := symbol.Load()
	if err != nil {
		symbols = new(symbol.Table) // procfs is asked instead
	}
	sampler, err := newSampler(ctx, o, len(symbols.Range("ctnetlink_dump_table")) > 0)
	if err != nil {
		return err
	}
	defer sampler.Close()
	list, err := sampler.Sample(ctx)
	if err == nil && len(list) > 0 {
		if o.duration == 0 {
			o.duration = o.interval
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.duration):
		}
		sampler.Fill = nil // it was looked at
		list, err = again(ctx, sampler, list)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return console.WithHint(fmt.Errorf("read conntrack tables: %w", err), onceHints(err)...)
	}
	return printOnce(list, o, t)
}

func onceHints(err error) []string {
	if errors.Is(err, table.ErrNoConntrack) {
		return []string{"nothing on this machine tracks connections"}
	}
	return []string{"run it as root: sudo droptrace conntrack"}
}

// again samples once more and keeps what was found out about fill.
func again(ctx context.Context, s *resolve.Sampler, before []*drop.ConntrackSample) ([]*drop.ConntrackSample, error) {
	list, err := s.Sample(ctx)
	for _, sample := range list {
		for _, b := range before {
			if b.Netns.Inode == sample.Netns.Inode {
				sample.Fill = b.Fill
			}
		}
	}
	return list, err
}

func printOnce(list []*drop.ConntrackSample, o conntrackOptions, t console.Terminal) error {
	if o.format == "json" {
		j := output.NewJSON(t.Stdout)
		for _, s := range list {
			if err := j.Sample(s); err != nil {
				return err
			}
		}
		return j.Flush()
	}
	b := output.Board{Samples: list}
	for _, s := range list {
		if s.Fill != nil {
			b.Fills = append(b.Fills, s)
		}
	}
	for _, l := range b.Lines(t.Style(t.Stdout)) {
		if _, err := io.WriteString(t.Stdout, l+"\n"); err != nil {
			return err
		}
	}
	return nil
}
