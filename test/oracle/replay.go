package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/rules/model"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
	"github.com/droptrace/droptrace/resolve/rules/replay"
	fw "github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/xtables"
)

// replayed counts what replay said of one engine's packets.
type replayed struct {
	Engine string
	// N packets, Certain answers of them, Wrong ones, and CannotKnow by what was
	// not known.
	N, Certain, Wrong, CannotKnow int
	Doubts                        map[string]int
}

// replayer evaluates the packets that were measured.
type replayer struct {
	ns    *netns.Handle
	rows  []*replayed
	out   io.Writer
	wrong int
	model *model.Model
	f     *replay.Firewall
	host  *machine.Routes
}

func newReplayer(router string, out io.Writer) (*replayer, error) {
	path := "/run/netns/" + router
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, fmt.Errorf("find namespace %s: %w", router, err)
	}
	ns, err := netns.Open(netns.Namespace{Inode: uint32(st.Ino), Path: path})
	if err != nil {
		return nil, err
	}
	host, err := machine.OpenRoutes(ns)
	if err != nil {
		return nil, err
	}
	return &replayer{ns: ns, out: out, host: host}, nil
}

func (r *replayer) row(engine string) *replayed {
	for _, t := range r.rows {
		if t.Engine == engine {
			return t
		}
	}
	t := &replayed{Engine: engine, Doubts: map[string]int{}}
	r.rows = append(r.rows, t)
	return t
}

// read reads the router's rulesets as the kernel has them.
func (r *replayer) read() error {
	ctx := context.Background()
	nft, err := nftables.Read(ctx, r.ns)
	if err != nil {
		return err
	}
	ids, err := xtables.Tables(r.ns)
	if err != nil {
		return err
	}
	var blobs []*xtables.Blob
	for _, id := range ids {
		b, err := xtables.Read(r.ns, id)
		if err != nil {
			return err
		}
		blobs = append(blobs, b)
	}
	if r.model, err = model.Read(ctx, r.ns, nft, blobs); err != nil {
		return err
	}
	r.f = replay.New(r.model.Rulesets...)
	return nil
}

// lanes is the lab's routing.
type lanes struct {
	replay.Environment
	spec
}

var lab1, lab2 = replay.Interface{Known: true, Name: "rc"}, replay.Interface{Known: true, Name: "rs"}

// Route knows only the way of a packet whose destination is still its own.
func (l lanes) Route(p *replay.Packet) replay.Route {
	_, dst := l.addresses()
	at := 16
	if l.V6 {
		at = 24
	}
	if !bytes.HasPrefix(p.Bytes[at:], dst.AsSlice()) {
		return replay.Route{}
	}
	switch l.Path {
	case receive:
		return replay.Route{Type: unix.RTN_LOCAL}
	case forward:
		return replay.Route{Type: unix.RTN_UNICAST, Out: lab2}
	}
	return replay.Route{Type: unix.RTN_UNICAST, Out: lab1}
}

// nothing knows no route and no link.
type nothing struct{}

func (nothing) FIB(*replay.Packet, uint8, fw.FIBResult) ([]byte, replay.Presence) {
	return nil, replay.NotKnown
}

func (nothing) Link(replay.Interface, fw.Field) ([]byte, replay.Presence) {
	return nil, replay.NotKnown
}

// packet is what a spec sends, as it comes in.
func (s spec) packet(id uint16) *replay.Packet {
	// PACKET_HOST: also what a packet of this host has before it leaves.
	b := s.build(id)
	p := &replay.Packet{
		EtherType: unix.ETH_P_IP, Bytes: b, Length: len(b), MarkKnown: true, PacketType: 0, UID: -2, GID: -2,
		In: lab1, Out: replay.Interface{Known: true},
		Conntrack: replay.Conntrack{State: fw.CTNew},
	}
	if s.V6 {
		p.EtherType = unix.ETH_P_IPV6
	}
	if s.Path == output {
		p.In, p.Out = replay.Interface{Known: true}, lab1
		p.UID, p.GID = 0, 0
	}
	if s.invalid() {
		p.Conntrack.State = fw.CTInvalid
	}
	return p
}

// invalid: what conntrack takes for no part of any connection.
func (s spec) invalid() bool {
	switch s.Proto {
	case unix.IPPROTO_TCP:
		return s.Flags != 2
	case unix.IPPROTO_ICMP:
		return s.Type == 0
	case unix.IPPROTO_ICMPV6:
		return s.Type == 129
	}
	return false
}

// check replays packets whose fate was measured: once as they are, and once
// without what only this machine knows of them.
func (r *replayer) check(s *ruleset, shots []shot) {
	for _, x := range shots {
		p := x.spec.packet(x.id)
		j := r.f.Journey(p, r.host, replay.Options{})
		r.judge(s, x, p, j)
		env := lanes{nothing{}, x.spec}
		p.PacketType = -1
		p.Conntrack, p.MarkKnown, p.Bytes = replay.Conntrack{}, false, p.Bytes[:len(p.Bytes)*3/4]
		r.judge(s, x, p, r.f.Journey(p, env, replay.Options{}))
	}
}

func (r *replayer) judge(s *ruleset, x shot, p *replay.Packet, j *replay.Journey) {
	engine := s.Engine
	if p.Conntrack.State == 0 {
		engine += ", less known"
	}
	t := r.row(engine)
	t.N++
	what := ""
	switch {
	case j.Verdict == replay.CannotKnow:
		t.CannotKnow++
		for _, st := range j.Stages {
			if st.Result != nil {
				for _, d := range st.Result.Doubts[:min(1, len(st.Result.Doubts))] {
					t.Doubts[d.Why]++
				}
			}
		}
		if j.Stopped != "" {
			t.Doubts[j.Stopped]++ // its candidates are those so far
		} else if x.orig != nil && !slices.ContainsFunc(j.Candidates, x.orig.is) {
			what = "not among its candidates"
		}
	case j.Verdict == replay.Accepted && x.orig != nil:
		what = "was dropped"
	case j.Verdict == replay.Accepted:
	case x.orig == nil:
		what = "was not dropped"
	case j.Last.Chain != nil && !x.orig.is(j.Last):
		what = "was dropped elsewhere"
	case !slices.ContainsFunc(j.Candidates, x.orig.is):
		what = "not among its candidates"
	case (j.Verdict == replay.Rejected) != (x.orig.kind() == "reject") && j.Last.Chain != nil:
		what = "other verdict"
	}
	if j.Verdict != replay.CannotKnow && what == "" {
		t.Certain++
	}
	if what == "" {
		return
	}
	t.Wrong++
	if r.wrong++; r.wrong > 5 {
		return
	}
	fmt.Fprintf(r.out, "REPLAY WRONG: %s (engine %s)\n  packet: %v state %d\n  truth: %v\n  verdict %d last %s\n", what, s.Engine, x.spec,
		p.Conntrack.State, x.orig, j.Verdict, placeName(j.Last))
	for _, c := range j.Candidates {
		fmt.Fprintf(r.out, "  candidate: %s\n", placeName(c))
	}
	fmt.Fprintf(r.out, "  ruleset:\n%s\n", s.text(map[bool]string{false: "ip", true: "ip6"}[x.spec.V6]))
	for _, st := range r.f.Journey(p, r.host, replay.Options{Steps: true}).Stages {
		if st.Result == nil {
			continue
		}
		fmt.Fprintf(r.out, "  %s: verdict %d\n", st.Hook.Name, st.Result.Verdict)
		for _, step := range st.Result.Steps {
			b, _ := json.Marshal(step.At)
			fmt.Fprintf(r.out, "    %s truth %d reached %d at %s %s\n", placeName(step.Place), step.Truth, step.Reached, b, step.Why)
		}
	}
}

func placeName(p replay.Place) string {
	if p.Chain == nil {
		return "none"
	}
	n := 0
	if p.Rule != nil {
		n = p.Rule.Number
	}
	return fmt.Sprintf("%s %s %s %d (base %s)", p.Chain.Table.Family, p.Chain.Table.Name, p.Chain.Name, n, p.Base.Name)
}

// is reports whether a place is the answer's.
func (a *answer) is(p replay.Place) bool {
	if p.Chain.Table.Family != a.Family || p.Chain.Table.Name != a.Table || p.Chain.Name != a.Chain {
		return false
	}
	if a.Base != "" && !slices.Contains(strings.Split(a.Base, "|"), p.Base.Name) {
		return false
	}
	if a.Rule == nil {
		return p.Rule == nil
	}
	return p.Rule != nil && p.Rule.Number == a.Number
}

func (r *replayer) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "replay\tN\tknows\tcannot know\twrong")
	for _, t := range r.rows {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\n", t.Engine, t.N, t.Certain, t.CannotKnow, t.Wrong)
	}
	tw.Flush()
	for _, t := range r.rows {
		var names []string
		for n := range t.Doubts {
			names = append(names, n)
		}
		slices.SortFunc(names, func(a, b string) int { return t.Doubts[b] - t.Doubts[a] })
		for _, n := range names[:min(len(names), 12)] {
			fmt.Fprintf(w, "%6d  %s: %s\n", t.Doubts[n], t.Engine, n)
		}
	}
}
