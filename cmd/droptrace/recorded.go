package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve"
	"github.com/droptrace/droptrace/resolve/explain"
	"github.com/droptrace/droptrace/resolve/replay"
)

// eachDrop calls visit with every drop of a recording.
type eachDrop func(visit func(*resolve.Drop) error) error

// maxRecord bounds one line of a recording, in bytes: one with a stack has some
// thousands.
const maxRecord = 1 << 20

// readDrops reads what the live command wrote with --json; - is standard input.
func readDrops(name string) eachDrop {
	return func(visit func(*resolve.Drop) error) error {
		var in io.Reader = os.Stdin
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return fmt.Errorf("read drops: %w", err)
			}
			defer f.Close()
			in = f
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 0, 64<<10), maxRecord)
		number := 0
		for lines.Scan() {
			number++
			d, err := readDrop(lines.Bytes())
			if err != nil {
				return errorWithHint(fmt.Errorf("%s: line %d: %w", name, number, err), "want what droptrace --json printed")
			}
			if d == nil {
				continue
			}
			if err := visit(d); err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("%s: line %d: %w", name, number+1, err)
		}
		return nil
	}
}

var errNoRecord = errors.New("it is no record of droptrace's")

// readDrop is nil for records of other types.
func readDrop(line []byte) (*resolve.Drop, error) {
	if line = bytes.TrimSpace(line); len(line) == 0 {
		return nil, nil
	}
	var kind struct{ Type string }
	if err := json.Unmarshal(line, &kind); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoRecord, err)
	}
	switch kind.Type {
	case "drop":
	case "":
		return nil, errNoRecord
	default:
		return nil, nil
	}
	d := new(resolve.Drop)
	if err := json.Unmarshal(line, d); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoRecord, err)
	}
	return d, nil
}

// explainDrops says of every recorded drop whether it would pass now, or after a
// change.
func explainDrops(c *cli.Context, t terminal, asJSON bool) error {
	for _, flag := range c.LocalFlagNames() {
		switch flag {
		case "drops", "rules", "netns", "with", "json", "output", "quiet", "q":
		default:
			return badUsage(fmt.Errorf("%s describes a packet, and --drops has its own", dashed(flag)), "leave one of them out")
		}
	}
	s, err := openSubject(c.Context, c.String("netns"), whole(c, "rules"))
	if err != nil {
		return err
	}
	defer s.close()
	with := whole(c, "with")
	r := recording{ctx: c.Context, before: s, after: &changed{subject: s}, known: make(map[string]explain.Verdict)}
	if len(with) > 0 {
		if r.after, err = s.change(c.Context, with); err != nil {
			return err
		}
		defer r.after.close()
	}
	return r.run(readDrops(c.String("drops")), t, with, asJSON)
}

// recording puts recorded drops before two sets of rules.
type recording struct {
	ctx    context.Context
	before *subject
	after  *changed
	// known are verdicts of drops that differ only in what no rule sees.
	known map[string]explain.Verdict
}

// maxKnown bounds the verdicts that are kept.
const maxKnown = 1 << 16

func (r *recording) run(drops eachDrop, t terminal, with []string, asJSON bool) error {
	now, then := replay.New(r.before.rules.list...), replay.New(r.after.rules.list...)
	out := output.NewReplayed(t.stdout, t.style(t.stdout), asJSON, with)
	err := drops(func(d *resolve.Drop) error {
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
func (r *recording) rule(v explain.Verdict) *resolve.Rule {
	if v.Place.Chain == nil {
		return nil
	}
	a := asker{subject: r.after.subject}
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
func keyOfDrop(d *resolve.Drop) string {
	k := *d
	k.Time, k.Why, k.Stack, k.Repeats, k.Process = time.Time{}, nil, nil, 0, nil
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
