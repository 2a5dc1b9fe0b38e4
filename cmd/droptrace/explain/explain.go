// Package explain is the command that says what would become of a packet, and of a
// change of the rules.
package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve"
	"github.com/droptrace/droptrace/resolve/diagnose"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/explain"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/replay"
)

// The headings of explain's --help.
const (
	packetFlags = "The packet:"
	rulesFlags  = "The rules:"
)

// Command is the command with its flags.
func Command(t console.Terminal) *cli.Command {
	return console.NewCommand("explain", "what would become of a packet, and of a change of the rules", `Says what would become of a packet that has not been sent: hook by hook, the
verdict, the rule that gives it, and why:

    droptrace explain --in eth0 --src 198.51.100.7 --dst 10.0.0.2 \
        --proto tcp --dport 80
    droptrace explain … --with "iptables -I INPUT 1 -p tcp --dport 80 -j ACCEPT"
    droptrace explain --drops FILE --with "nft delete rule inet fw in handle 7"

The rules are those of this network namespace, which needs root, or of files
that iptables-save or nft wrote. --with asks what would be after a change: it is
made in a copy, never here. With --drops it says of each recorded drop whether
it would pass then.

Exit codes: 0 answered, 1 failed, 2 bad usage.`, explainFlags(),
		func(c *cli.Context) error { return explainAction(c, t) })
}

func explainFlags() []cli.Flag {
	var flags []cli.Flag
	text := func(category, name, usage string, aliases ...string) {
		flags = append(flags, &cli.StringFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	list := func(category, name, usage string) {
		flags = append(flags, &cli.GenericFlag{Name: name, Category: category, Usage: usage, Value: new(console.WholeValues)})
	}
	on := func(category, name, usage string, aliases ...string) {
		flags = append(flags, &cli.BoolFlag{Name: name, Aliases: aliases, Category: category, Usage: usage})
	}
	text(packetFlags, "proto", "`PROTO` tcp, udp, icmp and others, or a number (tcp)")
	text(packetFlags, "src", "`ADDRESS` source address")
	text(packetFlags, "dst", "`ADDRESS` destination address")
	text(packetFlags, "sport", "`PORT` source port (one that no rule names)")
	text(packetFlags, "dport", "`PORT` destination port: 80, http")
	text(packetFlags, "in", "`NAME` interface that it comes in by", "i")
	text(packetFlags, "out", "`NAME` interface that it leaves by; alone: this host sends it")
	text(packetFlags, "hook", "`HOOK` this hook alone: prerouting, input, forward, …")
	text(packetFlags, "state", "`STATE` new, established, related, invalid, untracked (new)")
	text(packetFlags, "mark", "`MARK` packet mark (0)")
	text(packetFlags, "tcp-flags", "`FLAGS` syn,ack,fin,rst,psh,urg,ece,cwr or none (syn)")
	text(packetFlags, "icmp-type", "`TYPE[/CODE]` a number or name (echo-request)")
	text(packetFlags, "length", "`BYTES` of the whole packet, from its IP header on")
	text(packetFlags, "ttl", "`NUMBER` TTL or hop limit (64)")
	text(packetFlags, "dscp", "`NUMBER` 0 to 63 (0)")
	text(packetFlags, "mac", "`ADDRESS` source MAC address")
	text(packetFlags, "uid", "`UID` user that sends it")
	text(packetFlags, "gid", "`GID` group that sends it")
	on(packetFlags, "fragment", "a later fragment: without ports")
	text(rulesFlags, "netns", "`NETNS` network namespace: a name, a path, pid:N, inode:N")
	list(rulesFlags, "rules", "`FILE` that iptables-save or nft printed; many are one host's")
	list(rulesFlags, "with", "`COMMAND` of iptables or nft: the way before it and after")
	text(rulesFlags, "drops", "`FILE` drops recorded with --json: which would pass now")
	on(console.OutputFlags, "trace", "every rule that was asked")
	text(console.OutputFlags, "output", "`FORMAT` text or json")
	on(console.OutputFlags, "json", "the same as --output json")
	on(console.OutputFlags, "quiet", "no notes on standard error", "q")
	on(console.OutputFlags, "schema", "print the JSON schema of --json and end")
	return flags
}

// subject is whose rules are asked.
type subject struct {
	rules   *rules.Rules
	handle  *netns.Handle // nil for files
	live    *explain.Live // nil for files
	info    drop.Netns
	way     diagnose.Namespace // into it
	files   []string
	indexes map[string]uint32 // of interfaces, as the rules have them
}

func (s *subject) close() {
	if s.live != nil {
		s.live.Close()
	}
	if s.handle != nil {
		s.handle.Close()
	}
}

// environment answers what rules do not tell.
func (s *subject) environment(out replay.Interface) replay.Environment {
	if s.live != nil {
		return s.live
	}
	return explain.Saved{Out: out}
}

// machine is nil where there is none to ask.
func (s *subject) machine() diagnose.Machine {
	if s.live != nil {
		return s.live
	}
	return nil
}

func explainAction(c *cli.Context, t console.Terminal) error {
	if c.Bool("schema") {
		_, err := io.WriteString(t.Stdout, output.Schema())
		return err
	}
	format, err := console.ReadFormat(c, "text", "json")
	if err != nil {
		return err
	}
	if c.IsSet("drops") {
		return explainDrops(c, t, format == "json")
	}
	q, err := readPacketFlags(c)
	if err != nil {
		return err
	}
	s, err := console.OrInterrupted(c.Context, func() (*subject, error) {
		return openSubject(c.Context, c.String("netns"), console.Whole(c, "rules"))
	})
	if err != nil {
		return err
	}
	defer s.close()
	e, err := console.OrInterrupted(c.Context, func() (*output.Explanation, error) {
		return explainPacket(c.Context, s, q, console.Whole(c, "with"), c.Bool("trace"))
	})
	if err != nil {
		return err
	}
	if format == "json" {
		err = e.WriteJSON(t.Stdout)
	} else {
		err = e.WriteText(t.Stdout, t.Style(t.Stdout))
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// openSubject reads the rules that are asked about.
func openSubject(ctx context.Context, name string, files []string) (*subject, error) {
	if len(files) > 0 {
		if name != "" {
			return nil, console.BadUsage(errors.New("--rules and --netns exclude each other"), "give one of them")
		}
		rules, indexes, err := console.ReadRules(ctx, files)
		return &subject{rules: rules, files: files, indexes: indexes, way: diagnose.Namespace{Own: true}}, err
	}
	n, err := netns.Current()
	own := n
	if name != "" {
		list, err := console.ParseNamespaces(ctx, []string{name})
		if err != nil {
			return nil, console.BadUsage(err)
		}
		n = list[0]
	}
	if err != nil {
		return nil, err
	}
	s := &subject{info: drop.Netns{Inode: n.Inode, Name: n.Name, Own: n.Inode == own.Inode}}
	if n.Name == "" && !s.info.Own {
		s.info.PID, s.info.Command = n.PID, n.Command
	}
	s.way = diagnose.Namespace{Name: s.info.Name, PID: s.info.PID, Own: s.info.Own}
	if s.handle, err = netns.Open(n); err != nil {
		return nil, rootNeeded(err)
	}
	if s.info.Own {
		s.rules, err = rules.Read(ctx, s.handle)
	} else {
		s.rules, err = rules.ReadWithin(ctx, s.handle, budget.Of(false, nil))
	}
	if err != nil {
		s.close()
		return nil, rootNeeded(err)
	}
	if s.live, err = explain.NewLive(s.handle); err == nil {
		s.indexes, err = interfaceIndexes(s.handle)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// rootNeeded adds what to do without privileges.
func rootNeeded(err error) error {
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("read the rules of the network namespace: %w", os.ErrPermission)
		return console.WithHint(err, "run it as root, or give it the rules in a file: --rules FILE")
	}
	return err
}

// explainPacket answers for one packet, before and after a change.
func explainPacket(ctx context.Context, s *subject, q *flagPacket, with []string, trace bool) (*output.Explanation, error) {
	q.fill(s)
	p, assumed, err := q.build(s)
	if err != nil {
		return nil, err
	}
	a := explainer{subject: s, flagPacket: q, trace: trace}
	e := &output.Explanation{Time: time.Now(), Packet: resolve.PacketOf(p), Files: s.files, With: with}
	e.Packet.TCP, e.Packet.IPID, e.Packet.ICMPMTU = nil, nil, nil // nobody said
	if s.handle != nil {
		e.Netns = &s.info
	}
	j := a.journey(p)
	e.Set(a.way(ctx, j))
	looked := explain.Looked(j, assumed)
	if len(with) > 0 {
		changed, err := s.change(ctx, with)
		if err != nil {
			return nil, err
		}
		p := *p
		p.In, p.Out = changed.device(p.In), changed.device(p.Out)
		b := explainer{subject: changed.subject, flagPacket: q, trace: trace}
		j := b.journey(&p)
		w := b.way(ctx, j)
		e.After = &w
		for _, more := range explain.Looked(j, assumed) {
			looked = appendNew(looked, more)
		}
		e.Notes = append(e.Notes, changed.notes...)
	}
	e.Assumed = looked
	e.Notes = append(e.Notes, q.notes...)
	e.Notes = append(e.Notes, s.unseen(j, p)...)
	return e, nil
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}
