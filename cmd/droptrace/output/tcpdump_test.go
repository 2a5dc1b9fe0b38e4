package output

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// A wire packet begins at its network header.
type wire struct {
	name      string
	etherType uint16
	bytes     []byte
}

func be16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

func wire4(name string, protocol byte, payload ...[]byte) wire {
	return wireFragment(name, protocol, 0, payload...)
}

func wireFragment(name string, protocol byte, fragment int, payload ...[]byte) wire {
	p := slices.Concat(payload...)
	b := slices.Concat([]byte{0x45, 0}, be16(20+len(p)), []byte{0, 77}, be16(fragment), []byte{64, protocol, 0, 0}, []byte{203, 0, 113, 9, 10, 0, 0, 2}, p)
	return wire{name, 0x0800, b}
}

func wire6(name string, protocol byte, payload ...[]byte) wire {
	p := slices.Concat(payload...)
	src, dst := netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("2001:db8::2").As16()
	b := slices.Concat([]byte{0x60, 0, 0, 0}, be16(len(p)), []byte{protocol, 64}, src[:], dst[:], p)
	return wire{name, 0x86dd, b}
}

func segment(flags byte, options string, payload int) []byte {
	o, err := hex.DecodeString(strings.ReplaceAll(options, " ", ""))
	if err != nil {
		panic(err)
	}
	return slices.Concat(be16(51234), be16(8081), []byte{0, 0, 0, 123, 0, 0, 0, 77, byte(20+len(o)) << 2, flags}, be16(64240), []byte{0, 0}, be16(5), o, make([]byte, payload))
}

func datagram(sport, dport, payload int) []byte {
	return slices.Concat(be16(sport), be16(dport), be16(8+payload), be16(0), make([]byte, payload))
}

func message(t, code byte, rest uint32, payload []byte) []byte {
	return slices.Concat([]byte{t, code, 0, 0}, binary.BigEndian.AppendUint32(nil, rest), payload)
}

func arpPacket(operation int, target byte) wire {
	b := slices.Concat([]byte{0, 1, 8, 0, 6, 4}, be16(operation), []byte{2, 0, 0, 0, 0, 1, 10, 0, 0, 1}, []byte{target, 0, 0, 0, 0, target, 10, 0, 0, 2})
	return wire{fmt.Sprintf("arp %d", operation), 0x0806, b}
}

// wires are packets that tcpdump does not look into.
func wires() []wire {
	quoted := wire4("", 17, datagram(4000, 5001, 12)).bytes
	quotedTCP := wire4("", 6, segment(2, "", 0)).bytes
	quoted6 := wire6("", 17, datagram(4000, 5001, 12)).bytes
	neighbor := append([]byte{0xfe, 0x80}, make([]byte, 14)...)
	list := []wire{
		wire4("syn", 6, segment(2, "020405b4 0402 080a0000000100000000 01 030307", 0)),
		wire4("syn ack", 6, segment(0x12, "020405b4 0101 0402", 0)),
		wire4("ack with timestamps", 6, segment(0x10, "0101 080a0000000100000002", 0)),
		wire4("data", 6, segment(0x18, "0101 080a0000000100000002", 300)),
		wire4("sack", 6, segment(0x10, "0101 050a0000000100000002", 0)),
		wire4("fast open", 6, segment(2, "220a0102030405060708 0101", 0)),
		wire4("fast open asked for", 6, segment(2, "2202 0000", 0)),
		wire4("option not known", 6, segment(2, "fd06f9896162 0101", 0)),
		wire4("fin", 6, segment(0x11, "", 0)), wire4("reset", 6, segment(4, "", 0)), wire4("reset ack", 6, segment(0x14, "", 0)),
		wire4("urgent", 6, segment(0x38, "", 10)), wire4("all flags", 6, segment(0xff, "", 0)), wire4("no flag", 6, segment(0, "", 0)),
		wire4("ecn", 6, segment(0xc2, "", 0)), wire4("syn with data", 6, segment(2, "", 20)),
		wire6("syn 6", 6, segment(2, "020405a0 0402 080a0000000100000000 01 030307", 0)), wire6("data 6", 6, segment(0x18, "", 1000)),
		wire4("udp", 17, datagram(4000, 5001, 12)), wire4("udp empty", 17, datagram(4000, 5001, 0)),
		wire4("udp long", 17, datagram(4000, 5001, 1400)), wire6("udp 6", 17, datagram(4000, 5001, 12)),
		wireFragment("first fragment", 17, 0x2000, datagram(4000, 5001, 1000)), wireFragment("next fragment", 17, 0x2064, make([]byte, 800)),
		wireFragment("last fragment", 17, 0x0064, make([]byte, 80)), wireFragment("tcp fragment", 6, 0x0064, make([]byte, 80)),
		wire6("first fragment 6", 44, []byte{17, 0, 0, 1, 0, 0, 0, 99}, datagram(4000, 5001, 1000)),
		wire6("next fragment 6", 44, []byte{17, 0, 3, 0xe9, 0, 0, 0, 99}, make([]byte, 80)),
		arpPacket(1, 0), arpPacket(1, 2), arpPacket(2, 2),
		wire6("packet too big", 58, message(2, 0, 1280, quoted6)),
		wire6("neighbor solicitation", 58, message(135, 0, 0, append(neighbor, 1, 1, 2, 0, 0, 0, 0, 1))),
		wire6("neighbor advertisement", 58, message(136, 0, 0x60000000, append(neighbor, 2, 1, 2, 0, 0, 0, 0, 1))),
		wire6("router solicitation", 58, message(133, 0, 0, nil)),
		wire4("gre", 47, []byte{0, 0, 8, 0}, quoted), wire4("esp", 50, make([]byte, 40)), wire4("number", 253, make([]byte, 40)), wire6("number 6", 253, make([]byte, 40)),
	}
	for _, t := range []byte{0, 8} {
		list = append(list, wire4(fmt.Sprintf("echo %d", t), 1, message(t, 0, 7<<16|9, make([]byte, 56))))
	}
	for _, t := range []byte{128, 129} {
		list = append(list, wire6(fmt.Sprintf("echo %d", t), 58, message(t, 0, 7<<16|9, make([]byte, 56))))
	}
	for code := range byte(17) {
		list = append(list, wire4(fmt.Sprintf("unreachable %d", code), 1, message(3, code, 1400, quoted)))
		list = append(list, wire4(fmt.Sprintf("unreachable %d of tcp", code), 1, message(3, code, 0, quotedTCP)))
	}
	for code := range byte(3) {
		list = append(list, wire4(fmt.Sprintf("time exceeded %d", code), 1, message(11, code, 0, quoted)),
			wire4(fmt.Sprintf("redirect %d", code), 1, message(5, code, 0x0a000001, quoted)),
			wire6(fmt.Sprintf("time exceeded 6 %d", code), 58, message(3, code, 0, quoted6)))
	}
	for code := range byte(7) {
		list = append(list, wire6(fmt.Sprintf("unreachable 6 %d", code), 58, message(1, code, 0, quoted6)))
	}
	return list
}

// tcpdumpLines is what tcpdump prints of frames with these packets in them.
func tcpdumpLines(t *testing.T, list []wire) []string {
	t.Helper()
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0)
	for _, w := range list {
		frame := slices.Concat([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, be16(int(w.etherType)), w.bytes)
		for _, v := range []int{1700000000, 117835, len(frame), len(frame)} {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		b = append(b, frame...)
	}
	cmd := exec.Command("tcpdump", "-n", "-S", "-r", "-")
	cmd.Env = append(cmd.Environ(), "TZ=UTC")
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tcpdump: %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "\t") // what ICMP quotes, on a line of its own
	})
	if len(lines) != len(list) {
		t.Fatalf("tcpdump printed %d lines of %d packets", len(lines), len(list))
	}
	return lines
}

// printed is our line of a packet, up to the bracket.
func printed(t *testing.T, p drop.Packet) string {
	t.Helper()
	var b bytes.Buffer
	out := NewTcpdump(&b, Style{}, time.UTC, StampClock)
	if err := out.Drop(&drop.Drop{Time: time.Unix(1700000000, 117835999), Packet: p, Verdict: "drop", Cause: "kernel"}); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	line, rest, ok := strings.Cut(b.String(), " [drop")
	if !ok || strings.Count(rest, "\n") != 1 {
		t.Fatalf("no line with a drop in it: %q", b.String())
	}
	return line
}

// What a drop record holds of a packet: HEADER_BYTES of bpf/event.h.
const recorded = 160

func TestTcpdumpLinesAreTcpdumps(t *testing.T) {
	list := wires()
	// What differs, and is told in the documentation of Tcpdump.
	differ := []string{"gre", "esp", "unreachable 6 1", "unreachable 6 2", "unreachable 6 5", "unreachable 6 6"}
	for i, want := range tcpdumpLines(t, list) {
		w := list[i]
		if slices.Contains(differ, w.name) {
			want, _, _ = strings.Cut(want, ": ") // up to the addresses
			if got := printed(t, drop.ReadPacket(w.etherType, w.bytes)); !strings.HasPrefix(got, want+": ") {
				t.Errorf("%s\ngot  %s\nwant %s", w.name, got, want)
			}
			continue
		}
		if got := printed(t, drop.ReadPacket(w.etherType, w.bytes[:min(len(w.bytes), recorded)])); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", w.name, got, want)
		}
	}
}

// Random segments and datagrams, options and all.
func TestTcpdumpLinesOfRandomPackets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	options := []string{"", "020405b4", "0101080a0000000100000002", "020405b40402080a00000001000000000103030a", "0402 0101", "0101050a0000000100000002", "010303ff"}
	var list []wire
	for i := range 2000 {
		make4 := wire4
		if r.IntN(2) == 0 {
			make4 = wire6
		}
		name := fmt.Sprintf("packet %d", i)
		if r.IntN(3) == 0 {
			list = append(list, make4(name, 17, datagram(40000+r.IntN(1000), 8000+r.IntN(50), r.IntN(1000))))
			continue
		}
		s := segment(byte(r.Uint32()), options[r.IntN(len(options))], r.IntN(2)*r.IntN(1000))
		binary.BigEndian.PutUint32(s[4:], r.Uint32())
		binary.BigEndian.PutUint32(s[8:], r.Uint32())
		binary.BigEndian.PutUint16(s[14:], uint16(r.Uint32()))
		list = append(list, make4(name, 6, s))
	}
	for i, want := range tcpdumpLines(t, list) {
		w := list[i]
		if got := printed(t, drop.ReadPacket(w.etherType, w.bytes[:min(len(w.bytes), recorded)])); got != want {
			t.Fatalf("%s\ngot  %s\nwant %s", w.name, got, want)
		}
	}
}

// Whatever a line stands for, it is one line and ends in a bracket.
func TestTcpdumpLinesOfEveryKindOfDrop(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			var b bytes.Buffer
			out := NewTcpdump(&b, Style{Width: 20}, time.UTC, StampClock)
			if err := out.Drop(&s.drop); err != nil {
				t.Fatal(err)
			}
			if err := out.Flush(); err != nil {
				t.Fatal(err)
			}
			line := b.String()
			if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "]\n") || strings.ContainsAny(line, "\x00\x1b") {
				t.Errorf("%q", line)
			}
		})
	}
}

func TestTcpdumpLinesOfFoldedDrops(t *testing.T) {
	d := &drop.Drop{Time: sampleTime, Verdict: "drop", Cause: "kernel", Reason: "NO_SOCKET",
		Packet: packet4("udp", func(p *drop.Packet) { ports(4000, 5001)(p); p.PayloadLength = ptr(12) })}
	last := sampleTime.Add(time.Second)
	const packet = "IP 203.0.113.9.4000 > 10.0.0.2.5001: UDP, length 12 "
	for _, tt := range []struct {
		f     Folded
		shown uint64
		want  string
	}{
		{Folded{Scope: ScopeFlow, Count: 1205, Drop: d, Last: last}, 1, packet + "[drop kernel | NO_SOCKET | no socket for this address and port | and 1,204 more since 18:44:02.117835]"},
		{Folded{Scope: ScopeFlow, Count: 1, Drop: d, Last: last}, 1, packet + "[drop kernel | NO_SOCKET | no socket for this address and port]"},
		{Folded{Scope: ScopeFlow, Count: 7, Drop: d, Last: last, Shown: true}, 0, packet + "[drop kernel | NO_SOCKET | no socket for this address and port | 7 more since 18:44:02.117835]"},
		{Folded{Scope: ScopeRule, Count: 7, Drop: d, Last: last}, 0, "[7 more drops of other flows: drop kernel | NO_SOCKET | no socket for this address and port]"},
		{Folded{Scope: ScopeAll, Count: 7, Drop: d, Last: last}, 0, "[7 more drops by other rules]"},
	} {
		var b bytes.Buffer
		out := NewTcpdump(&b, Style{ASCII: true}, time.UTC, StampClock)
		shown, err := out.Folded(tt.f)
		if err != nil || out.Flush() != nil {
			t.Fatal(err)
		}
		if want := "18:44:03.117835 " + tt.want + "\n"; b.String() != want || shown != tt.shown {
			t.Errorf("%d shown\ngot  %swant %s", shown, b.String(), want)
		}
	}
}

// Lines of both in one stream are in order by their first column.
func TestTcpdumpStamps(t *testing.T) {
	for stamp, want := range map[Stamp][2]string{
		StampClock: {"22:13:20.117835 ", "22:13:22.000001 "},
		StampNone:  {"", ""},
		StampUnix:  {"1700000000.117835 ", "1700000002.000001 "},
		StampDelta: {" 00:00:00.000000 ", " 00:00:01.882166 "},
		StampDate:  {"2023-11-14 22:13:20.117835 ", "2023-11-14 22:13:22.000001 "},
	} {
		var b bytes.Buffer
		out := NewTcpdump(&b, Style{}, time.UTC, stamp)
		for _, at := range []time.Time{time.Unix(1700000000, 117835000), time.Unix(1700000002, 1000)} {
			if err := out.Loss(Loss{Time: at, Lost: 1}); err != nil {
				t.Fatal(err)
			}
		}
		out.Flush()
		const rest = "[1 drop lost here, counted but not shown]\n"
		if want := want[0] + rest + want[1] + rest; b.String() != want {
			t.Errorf("stamp %d\ngot  %swant %s", stamp, b.String(), want)
		}
	}
}
