package correlate

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// sent is a packet with what became of it.
type sent struct {
	at      time.Duration
	bytes   []byte
	dropped time.Duration // when; 0: never
	died    []byte        // as it was then
	ct      *drop.Conntrack
	missed  bool // by the capture
	beyond  bool // nothing can tell that the two are one
}

var start = time.Unix(1800000000, 0)

// udp is an IPv4 datagram with DF and so the id 0, as Linux sends them.
func udp(source, destination string, sport, dport uint16, ttl uint8, payload []byte) []byte {
	b := make([]byte, 28, 28+len(payload))
	b[0], b[6], b[8], b[9] = 0x45, 0x40, ttl, 17
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(payload)))
	copy(b[12:], netip.MustParseAddr(source).AsSlice())
	copy(b[16:], netip.MustParseAddr(destination).AsSlice())
	binary.BigEndian.PutUint16(b[20:], sport)
	binary.BigEndian.PutUint16(b[22:], dport)
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(payload)))
	return append(b, payload...)
}

// run gives the packets to a correlator, and checks all that it says.
func run(t *testing.T, packets []sent, o Options, cutFrame, cutDrop int) (Counts, []*Result) {
	t.Helper()
	type numbered struct {
		sent
		i int
	}
	var frames, drops []numbered
	for i, p := range packets {
		if !p.missed {
			frames = append(frames, numbered{p, i})
		}
		if p.dropped != 0 {
			drops = append(drops, numbered{p, i})
		}
	}
	slices.SortStableFunc(frames, func(a, b numbered) int { return cmp.Compare(a.at, b.at) })
	slices.SortStableFunc(drops, func(a, b numbered) int { return cmp.Compare(a.dropped, b.dropped) })
	nf, nd := 0, 0
	in := Input{
		Frames: func(f *Frame) error {
			if nf == len(frames) {
				return io.EOF
			}
			p := frames[nf]
			nf++
			*f = Frame{Number: uint64(nf), Time: start.Add(p.at), EtherType: etherIPv4, Bytes: p.bytes[:min(len(p.bytes), cutFrame)]}
			return nil
		},
		Drops: func(d *Drop) error {
			if nd == len(drops) {
				return io.EOF
			}
			p := drops[nd]
			nd++
			*d = Drop{
				Number: uint64(nd), EtherType: etherIPv4, Bytes: p.died[:min(len(p.died), cutDrop)],
				Drop: &drop.Drop{Time: start.Add(p.dropped), Conntrack: p.ct},
			}
			return nil
		},
	}
	var results []*Result
	o.Passed = true
	if o.Within == 0 {
		o.Within = 100 * time.Millisecond
	}
	counts, err := Run(context.Background(), in, o, func(r *Result) error {
		results = append(results, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		var f numbered
		if r.Frame > 0 {
			f = frames[r.Frame-1]
		}
		switch r.Status {
		case Dropped:
			if d := drops[r.Drop.Number-1]; d.i != f.i && !r.Fragment {
				t.Fatalf("frame %d, packet %d, is said to be drop %d, which was packet %d", r.Frame, f.i, r.Drop.Number, d.i)
			}
			if r.After != f.dropped-f.at {
				t.Fatalf("frame %d: after %v, want %v", r.Frame, r.After, f.dropped-f.at)
			}
		case NoDrop, Outside:
			if f.dropped != 0 && !f.beyond {
				t.Fatalf("frame %d, packet %d, is said to have passed, and was dropped", r.Frame, f.i)
			}
		case Ambiguous:
			if f.dropped != 0 && !r.More && !slices.ContainsFunc(r.Candidates, func(c Found) bool { return drops[c.Number-1].i == f.i }) {
				t.Fatalf("frame %d, packet %d: its drop is not among the candidates", r.Frame, f.i)
			}
		case NotSeen:
			if d := drops[r.Drop.Number-1]; !d.missed && !d.beyond {
				t.Fatalf("drop %d, packet %d, is said not to be captured", r.Drop.Number, d.i)
			}
		}
	}
	c := counts
	if c.Frames != uint64(len(frames)) || c.Frames != c.Dropped+c.Ambiguous+c.NoDrop+c.Outside+c.Unread {
		t.Fatalf("frames do not add up: %+v", c)
	}
	if c.Drops != uint64(len(drops)) || c.Drops != c.Matched+c.AmbiguousDrops+c.NotSeen+c.BesideCapture {
		t.Fatalf("drops do not add up: %+v", c)
	}
	return counts, results
}

const whole = 1 << 16

// random packets, some equal to the last bit, some dropped, at any time.
func randomPackets(r *rand.Rand, n int, kinds int, gap, delay time.Duration) (packets []sent) {
	at := time.Duration(1)
	for i := range n {
		at += time.Duration(r.Int64N(int64(gap)))
		payload := make([]byte, 20)
		binary.BigEndian.PutUint32(payload[16:], uint32(r.IntN(kinds)))
		if kinds == 0 {
			binary.BigEndian.PutUint32(payload[16:], uint32(i))
		}
		p := sent{at: at, bytes: udp("192.0.2.2", "192.0.2.1", 4000, 80, 64, payload)}
		if r.IntN(2) == 0 {
			p.dropped = at + 1 + time.Duration(r.Int64N(int64(delay)))
			p.died = udp("192.0.2.2", "192.0.2.1", 4000, 80, 64-uint8(r.IntN(2)), payload)
		}
		packets = append(packets, p)
	}
	return packets
}

// Whatever is equal, a whole capture leads to no wrong answer.
func TestNoMatchIsWrong(t *testing.T) {
	var matched, ambiguous uint64
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		kinds := 1 + r.IntN(60)
		gap := time.Duration(1 + r.Int64N(int64(40*time.Millisecond)))
		delay := time.Duration(1 + r.Int64N(int64(90*time.Millisecond)))
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c, _ := run(t, randomPackets(r, 300, kinds, gap, delay), Options{}, whole, whole)
			matched += c.Dropped
			ambiguous += c.Ambiguous
		})
	}
	t.Logf("%d matched, %d ambiguous", matched, ambiguous)
	if matched == 0 || ambiguous == 0 {
		t.Error("the packets do not try it")
	}
}

// Packets that differ somewhere are all matched, although the capture has gaps.
func TestPacketsThatDifferAreMatchedInACaptureWithGaps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	packets := randomPackets(r, 20000, 1<<30, 20*time.Microsecond, 50*time.Millisecond)
	want, missed := uint64(0), uint64(0)
	for i := range packets {
		packets[i].missed = r.IntN(10) == 0
		if packets[i].dropped != 0 {
			if packets[i].missed {
				missed++
			} else {
				want++
			}
		}
	}
	for _, tt := range []struct{ frame, drop int }{{whole, whole}, {48, whole}, {whole, 48}} {
		packets := packets
		if tt.frame < whole || tt.drop < whole { // what differs lies where neither is cut
			packets = slices.Clone(packets)
			for i := range packets {
				p := &packets[i]
				p.bytes = append(slices.Clone(p.bytes[:28]), reversed(p.bytes[28:])...)
				if p.died != nil {
					p.died = append(slices.Clone(p.died[:28]), reversed(p.died[28:])...)
				}
			}
		}
		c, _ := run(t, packets, Options{}, tt.frame, tt.drop)
		if c.Dropped != want || c.NotSeen+c.BesideCapture != missed {
			t.Errorf("frames of %d, drops of %d bytes: %+v, want %d matched and %d not captured", tt.frame, tt.drop, c, want, missed)
		}
	}
}

func reversed(b []byte) []byte {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b
}

func tuple(source, destination string, sport, dport uint16) *drop.Tuple {
	return &drop.Tuple{
		Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr(destination),
		SourcePort: sport, DestinationPort: dport, Protocol: "udp",
	}
}

func TestNATIsSeenThrough(t *testing.T) {
	const client, firewall, public, server = "192.0.2.2", "198.51.100.1", "192.0.2.1", "198.51.100.2"
	ct := func(dir string) *drop.Conntrack {
		return &drop.Conntrack{
			State: "established", Dir: dir,
			Original: tuple(client, public, 4000, 80), Reply: tuple(server, firewall, 8080, 61000),
		}
	}
	payload := []byte("payload")
	ms := time.Millisecond
	for name, p := range map[string]sent{
		"before DNAT, dropped between DNAT and SNAT": {
			bytes: udp(client, public, 4000, 80, 64, payload), died: udp(client, server, 4000, 8080, 63, payload), ct: ct("original"),
		},
		"before DNAT, dropped after SNAT": {
			bytes: udp(client, public, 4000, 80, 64, payload), died: udp(firewall, server, 61000, 8080, 63, payload), ct: ct("original"),
		},
		"the answer": {
			bytes: udp(server, firewall, 8080, 61000, 64, payload), died: udp(server, client, 8080, 4000, 63, payload), ct: ct("reply"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			p.at, p.dropped = ms, 2*ms
			other := p
			other.bytes = udp(client, public, 4001, 80, 64, payload) // another flow's
			other.dropped = 0
			c, _ := run(t, []sent{p, other}, Options{}, whole, whole)
			if c.Dropped != 1 || c.NoDrop != 1 {
				t.Errorf("%+v", c)
			}
			p.ct, p.beyond = nil, true
			if c, _ := run(t, []sent{p}, Options{}, whole, whole); c.Dropped != 0 {
				t.Errorf("without tuples: %+v", c)
			}
		})
	}
}

// icmpError is a port unreachable that quotes a packet.
func icmpError(source, destination string, ttl uint8, quoted []byte) []byte {
	b := udp(source, destination, 0, 0, ttl, quoted)
	b[9], b[20], b[21], b[22], b[23], b[24], b[25] = 1, 3, 3, 0, 0, 0, 0
	return b
}

// NAT changes the quoted packet as well as the one that quotes it.
func TestNATOfICMPErrorsIsSeenThrough(t *testing.T) {
	const client, firewall, public, server = "192.0.2.2", "198.51.100.1", "192.0.2.1", "198.51.100.2"
	ct := &drop.Conntrack{
		State: "related", Dir: "reply",
		Original: tuple(client, public, 4000, 80), Reply: tuple(server, firewall, 8080, 61000),
	}
	quote := func(source, destination string, sport, dport uint16) []byte {
		return udp(source, destination, sport, dport, 60, []byte("payload"))
	}
	p := sent{
		at: time.Millisecond, dropped: 2 * time.Millisecond, ct: ct,
		bytes: icmpError(server, firewall, 64, quote(firewall, server, 61000, 8080)),
		died:  icmpError(server, client, 63, quote(client, server, 4000, 8080)),
	}
	// About another flow, by the same server.
	other := sent{at: time.Millisecond, bytes: icmpError(server, firewall, 64, quote(firewall, server, 61001, 8080))}
	if c, _ := run(t, []sent{p, other}, Options{}, whole, whole); c.Dropped != 1 || c.NoDrop != 1 {
		t.Errorf("%+v", c)
	}
	p.missed, p.beyond = true, true
	if c, _ := run(t, []sent{p, other}, Options{}, whole, whole); c.Dropped != 0 || c.Ambiguous != 0 {
		t.Errorf("not captured: %+v", c)
	}
}

func TestTimeTellsEqualPacketsApart(t *testing.T) {
	b := udp("192.0.2.2", "192.0.2.1", 4000, 80, 64, []byte("same"))
	ms := time.Millisecond
	died := func(at, dropped time.Duration) sent { return sent{at: at, bytes: b, dropped: dropped, died: b} }
	missed := func(s sent) sent { s.missed = true; return s }
	passed := func(at time.Duration) sent { return sent{at: at, bytes: b} }
	for name, tt := range map[string]struct {
		packets            []sent
		dropped, ambiguous uint64
	}{
		"seconds apart":                       {[]sent{died(ms, 2*ms), died(1001*ms, 1002*ms), died(3001*ms, 3002*ms)}, 3, 0},
		"each dropped before the next came":   {[]sent{died(10*ms, 12*ms), died(20*ms, 22*ms), died(30*ms, 31*ms)}, 3, 0},
		"both there when one was dropped":     {[]sent{died(10*ms, 32*ms), passed(20 * ms)}, 0, 2},
		"one passed long before":              {[]sent{passed(ms), died(500*ms, 501*ms)}, 1, 0},
		"two died, of which one was captured": {[]sent{died(10*ms, 12*ms), missed(died(11*ms, 13*ms))}, 0, 1},
		"one passed after":                    {[]sent{died(10*ms, 11*ms), passed(20 * ms)}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if c, _ := run(t, tt.packets, Options{}, whole, whole); c.Dropped != tt.dropped || c.Ambiguous != tt.ambiguous {
				t.Errorf("%+v, want %d dropped, %d ambiguous", c, tt.dropped, tt.ambiguous)
			}
		})
	}
}

// A flood of equal packets must neither take long nor be told apart.
func TestAFloodOfEqualPackets(t *testing.T) {
	b := udp("192.0.2.2", "192.0.2.1", 4000, 80, 64, []byte("same"))
	var packets []sent
	for i := range 50000 {
		at := time.Duration(i+1) * 4 * time.Microsecond
		p := sent{at: at, bytes: b}
		if i%2 == 0 {
			p.dropped, p.died = at+30*time.Microsecond, b
		}
		packets = append(packets, p)
	}
	c, _ := run(t, packets, Options{}, whole, whole)
	if c.Ambiguous < 49000 {
		t.Errorf("%+v", c)
	}
}

// Conntrack puts fragments together, so that one drop is that of all of them.
func TestFragmentsAreTheDropOfTheirDatagram(t *testing.T) {
	payload := make([]byte, 3000)
	datagram := udp("192.0.2.2", "192.0.2.1", 4000, 80, 64, payload)
	datagram[6], datagram[5] = 0, 77 // no DF, an id
	ms := time.Millisecond
	var packets []sent
	for at := 0; at < len(datagram)-20; at += 1480 {
		piece := append(slices.Clone(datagram[:20]), datagram[20+at:min(20+at+1480, len(datagram))]...)
		offset := uint16(at / 8)
		if 20+at+1480 < len(datagram) {
			offset |= 0x2000
		}
		binary.BigEndian.PutUint16(piece[2:], uint16(len(piece)))
		binary.BigEndian.PutUint16(piece[6:], offset)
		packets = append(packets, sent{at: ms, bytes: piece})
	}
	// The last one brings the drop.
	packets[len(packets)-1].dropped, packets[len(packets)-1].died = 2*ms, datagram
	for i := range packets[:len(packets)-1] {
		packets[i].dropped = 0
	}
	counts := correlateFragments(t, packets)
	if counts.Dropped != 3 || counts.Matched != 1 || counts.NotSeen != 0 {
		t.Errorf("%+v", counts)
	}
}

// correlateFragments is run without its checks, which want one packet a drop.
func correlateFragments(t *testing.T, packets []sent) Counts {
	t.Helper()
	i, told := 0, false
	c, err := Run(context.Background(), Input{
		Frames: func(f *Frame) error {
			if i == len(packets) {
				return io.EOF
			}
			i++
			*f = Frame{Number: uint64(i), Time: start.Add(packets[i-1].at), EtherType: etherIPv4, Bytes: packets[i-1].bytes}
			return nil
		},
		Drops: func(d *Drop) error {
			if told {
				return io.EOF
			}
			told = true
			last := packets[len(packets)-1]
			*d = Drop{Number: 1, EtherType: etherIPv4, Bytes: last.died, Drop: &drop.Drop{Time: start.Add(last.dropped)}}
			return nil
		},
	}, Options{Within: 100 * time.Millisecond}, func(r *Result) error {
		if r.Status == Dropped && !r.Fragment {
			t.Errorf("frame %d is no fragment", r.Frame)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func FuzzIdentity(f *testing.F) {
	f.Add(uint16(etherIPv4), udp("192.0.2.2", "192.0.2.1", 1, 2, 64, []byte("x")))
	f.Add(uint16(etherIPv6), append([]byte{0x60, 0, 0, 0, 0, 16, 44, 64}, make([]byte, 56)...))
	f.Add(uint16(0x0806), []byte("arp"))
	f.Fuzz(func(t *testing.T, etherType uint16, b []byte) {
		var p identity
		if !p.read(etherType, b, nil) {
			return
		}
		for level := range levels {
			if level <= p.level() && (level == 0 || level >= minLevel) && (level == wholeLevel || len(p.content) >= 1<<level || level == 0) {
				p.at(level)
			}
		}
		d := recorded{id: p, drop: new(drop.Drop)}
		d.setFlows()
		if !d.fits(&p) {
			t.Error("a packet is not itself")
		}
	})
}

func BenchmarkFrames(b *testing.B) {
	packets := randomPackets(rand.New(rand.NewPCG(1, 1)), 200000, 1<<30, 6*time.Microsecond, time.Millisecond)
	var drops []sent
	for _, p := range packets {
		if p.dropped != 0 {
			drops = append(drops, p)
		}
	}
	slices.SortFunc(drops, func(x, y sent) int { return cmp.Compare(x.dropped, y.dropped) })
	b.ReportAllocs()
	for b.Loop() {
		nf, nd := 0, 0
		_, err := Run(context.Background(), Input{
			Frames: func(f *Frame) error {
				if nf == len(packets) {
					return io.EOF
				}
				p := &packets[nf]
				nf++
				*f = Frame{Number: uint64(nf), Time: start.Add(p.at), EtherType: etherIPv4, Bytes: p.bytes}
				return nil
			},
			Drops: func(d *Drop) error {
				if nd == len(drops) {
					return io.EOF
				}
				p := &drops[nd]
				nd++
				*d = Drop{Number: uint64(nd), EtherType: etherIPv4, Bytes: p.died, Drop: &drop.Drop{Time: start.Add(p.dropped)}}
				return nil
			},
		}, Options{Within: 100 * time.Millisecond}, func(*Result) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(packets)), "ns/frame")
}
