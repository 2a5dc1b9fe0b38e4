// Package fake is a source for tests, whose drops, losses and failures are given.
package fake

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/source"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/live"
)

// Source is a source whose drops, losses and failures are given.
type Source struct {
	Drops     int           // handed out at once
	Late      int           // handed out after the end, as if drained
	Every     time.Duration // between drops
	Flows     int           // the drops are of so many flows in turn
	Lost      uint64
	Filtered  uint64
	Arrived   uint64
	End       bool   // the source ends by itself after its drops
	OpenError string // open fails
	Opening   string // a file made by open, which then waits for the end
	Usage     bool   // and the command line is to blame
	Hints     []string
	Error     string // Next fails after the drops
	CloseFail string
	Notice    string
	Hides     []string
	Grew      []string
	Ready     string // a file made once the drops were handed out
	Config    string // a file to write the Config to
	Filler    int    // bytes of text in the rule, to fill pipes

	mu   sync.Mutex
	sent int
	lost *drop.Drop

	next drop.Drop // overwritten with each Next, as the tracer does
}

// Open is the opener that hands it out.
func (f *Source) Open(ctx context.Context, cfg live.Config) (source.Source, error) {
	if f.Opening != "" {
		if err := os.WriteFile(f.Opening, nil, 0o600); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f.Notice != "" {
		cfg.Notify(drop.Notice{Time: time.Unix(0, 0).UTC(), Message: f.Notice})
	}
	if f.Config != "" {
		cfg.Notify = nil
		b, err := json.Marshal(struct {
			live.Filter
			Expression string `json:",omitempty"`
		}{cfg.Filter, cfg.Expression})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(f.Config, append(b, '\n'), 0o600); err != nil {
			return nil, err
		}
	}
	if f.OpenError != "" {
		if f.Usage {
			return nil, console.BadUsage(errors.New(f.OpenError), f.Hints...)
		}
		return nil, console.WithHint(errors.New(f.OpenError), f.Hints...)
	}
	return f, nil
}

// Drop is the drop of that number.
func (f *Source) Drop(i int) *drop.Drop {
	port, sport := uint16(80), uint16(40000+i%max(f.Flows, 1))
	length := 0
	return &drop.Drop{
		Type: "drop", Schema: drop.Schema, Time: time.Unix(1700000000, int64(i)*1000).UTC(),
		Packet: drop.Packet{
			Family: "ip", Protocol: "tcp", Source: netip.MustParseAddr("203.0.113.9"), SourcePort: &sport,
			Destination: netip.MustParseAddr("10.0.0.2"), DestinationPort: &port,
			TCPFlags: []string{"syn"}, TCP: &drop.TCP{Seq: uint32(i), Window: 64240}, PayloadLength: &length,
		},
		Netns: drop.Netns{Inode: 4026531840, Own: true},
		Hook:  "input", In: &drop.Interface{Index: 2, Name: "eth0"},
		Verdict: "drop", Cause: "rule", Reason: "NETFILTER_DROP",
		Rule: &drop.Rule{
			Engine: "iptables-nft", Family: "ip", Table: "filter", Chain: "INPUT", Handle: 12, Number: 7,
			Text: "-A INPUT -p tcp --dport 80 -j DROP" + strings.Repeat("x", f.Filler),
		},
		Attribution: drop.Attribution{Certainty: drop.Certain},
	}
}

func (f *Source) Next(ctx context.Context) (*drop.Drop, error) {
	f.mu.Lock()
	i := f.sent
	f.mu.Unlock()
	if i >= f.Drops {
		if f.Ready != "" && i == f.Drops {
			if err := os.WriteFile(f.Ready, nil, 0o600); err != nil {
				return nil, err
			}
		}
		if f.Error != "" {
			return nil, errors.New(f.Error)
		}
		if !f.End {
			<-ctx.Done()
		}
	}
	if f.Every > 0 {
		select {
		case <-time.After(f.Every):
		case <-ctx.Done():
			return nil, io.EOF
		}
	}
	if i >= f.Drops+f.Late || ctx.Err() != nil && i < f.Drops {
		return nil, io.EOF
	}
	f.mu.Lock()
	f.sent++
	f.mu.Unlock()
	f.next = *f.Drop(i)
	return &f.next, nil
}

func (f *Source) Capture() *drop.Capture { return nil }

func (f *Source) Stats() drop.Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint64(f.sent)
	return drop.Counts{Seen: n + f.Lost + f.Filtered, FilteredKernel: f.Filtered, Lost: f.Lost, Delivered: n}
}

func (f *Source) Losses() drop.Lost {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Lost == 0 {
		return drop.Lost{}
	}
	if f.lost == nil {
		f.lost = f.Drop(0)
	}
	return drop.Lost{Places: []drop.LostPlace{{Drop: f.lost, Count: f.Lost}}}
}

func (f *Source) Arrivals() *drop.Arrivals {
	if f.Arrived == 0 {
		return nil
	}
	return &drop.Arrivals{Arrived: f.Arrived, Interfaces: []drop.ArrivalPlace{{Index: 2, Name: "eth0", Arrived: f.Arrived}}}
}
func (f *Source) Beside() []string { return nil }
func (f *Source) About() string    { return "Linux 6.12, fake" }
func (f *Source) Hidden() []string { return f.Hides }

// Grown is what grew.
func (f *Source) Grown() []string { return f.Grew }

func (f *Source) Close() error {
	if f.CloseFail != "" {
		return errors.New(f.CloseFail)
	}
	return nil
}
