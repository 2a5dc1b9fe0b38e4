package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/cmd/droptrace/recording"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/explain"
	"github.com/droptrace/droptrace/resolve/rules/replay"
)

// eachDrop calls visit with every drop of a recording.
type eachDrop func(visit func(*drop.Drop) error) error

// readDrops reads a recording of the live command, JSON or pcapng; - is standard
// input.
func readDrops(name string, t console.Terminal) eachDrop {
	return func(visit func(*drop.Drop) error) error {
		in, err := console.OpenInput(name, t)
		if err != nil {
			return err
		}
		defer in.Close()
		rd, err := recording.NewReader(in)
		if err != nil {
			return console.Unreadable(name, err, 0)
		}
		var rec recording.Record
		for n := uint64(0); ; n++ {
			err := rd.Read(&rec)
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return console.Unreadable(name, err, n)
			}
			if err := visit(rec.Drop); err != nil {
				return err
			}
		}
	}
}

// explainDrops says of every recorded drop whether it would pass now, or after a
// change.
func explainDrops(c *cli.Context, t console.Terminal, asJSON bool) error {
	for _, flag := range c.LocalFlagNames() {
		switch flag {
		case "drops", "rules", "netns", "with", "json", "output", "quiet", "q":
		default:
			return console.BadUsage(fmt.Errorf("%s describes a packet, and --drops has its own", console.Dashed(flag)), "leave one of them out")
		}
	}
	s, err := openSubject(c.Context, c.String("netns"), console.Whole(c, "rules"))
	if err != nil {
		return err
	}
	defer s.close()
	with := console.Whole(c, "with")
	r := replaying{ctx: c.Context, before: s, after: &changed{subject: s}, known: make(map[string]explain.Verdict)}
	if len(with) > 0 {
		if r.after, err = s.change(c.Context, with); err != nil {
			return err
		}
	}
	return r.run(readDrops(c.String("drops"), t), t, with, asJSON)
}

// replaying puts recorded drops before two sets of rules.
type replaying struct {
	ctx    context.Context
	before *subject
	after  *changed
	// known are verdicts of drops that differ only in what no rule sees.
	known map[string]explain.Verdict
}

// maxKnown bounds the verdicts that are kept.
const maxKnown = 1 << 16

func (r *replaying) run(drops eachDrop, t console.Terminal, with []string, asJSON bool) error {
	now, then := replay.New(r.before.rules.List...), replay.New(r.after.rules.List...)
	out := output.NewReplayed(t.Stdout, t.Style(t.Stdout), asJSON, with)
	err := drops(func(d *drop.Drop) error {
		if r.before.handle != nil && d.Netns.Inode != r.before.info.Inode {
			return out.Elsewhere(d)
		}
		key := keyOfDrop(d)
		v, ok := r.known[key]
		if !ok {
			v = explain.Replay(d, now, then, r.before.environment(replay.Interface{}), r.before.index, r.after.index)
			if len(r.known) >= maxKnown {
				clear(r.known)
			}
			r.known[key] = v
		}
		return out.Drop(d, string(v.Outcome), r.rule(v), v.Message)
	})
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// rule names the place that would still drop.
func (r *replaying) rule(v explain.Verdict) *drop.Rule {
	if v.Place.Chain == nil {
		return nil
	}
	a := explainer{subject: r.after.subject}
	return a.describe(r.ctx, v.Place)
}

// index is an interface's, as the rules compare it.
func (s *subject) index(name string) uint32 {
	if i, ok := s.indexes[name]; ok {
		return i
	}
	return noIndex
}

// keyOfDrop is all of a drop that rules can look at.
func keyOfDrop(d *drop.Drop) string {
	k := *d
	k.Time, k.Why, k.Stack, k.Repeats, k.Process, k.Socket = time.Time{}, nil, nil, 0, nil, nil
	k.Packet.IPID, k.Packet.ICMPID, k.Packet.ICMPSeq, k.Packet.TCP = nil, nil, nil, nil
	if d.Packet.IPID != nil {
		k.Packet.IPID = new(uint16)
	}
	if k.Conntrack != nil {
		ct := *k.Conntrack
		ct.Timeout = nil
		k.Conntrack = &ct
	}
	b, err := json.Marshal(&k)
	if err != nil {
		return fmt.Sprint(d.Time, d.Packet)
	}
	return string(b)
}
