package recording

import (
	"net/netip"
	"reflect"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

var sampleTime = time.Date(2026, 11, 22, 18, 44, 2, 117835123, time.UTC)

// fill sets every field below v to something that is not zero, so that a
// forgotten one shows.
func fill(v reflect.Value, n *int, depth int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(sampleTime.Add(time.Duration(*n))))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, byte(*n >> 8), byte(*n)})))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n, depth)
		}
	case reflect.Pointer:
		if depth == 0 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n, depth-1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n, depth)
		fill(v.Index(1), n, depth)
	case reflect.String:
		v.SetString("s" + string(rune('A'+*n%26)) + string(rune('a'+*n/26%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n%255 + 1))
	default:
		panic("fill knows no " + v.Kind().String())
	}
}

func filledDrop() *drop.Drop {
	d := new(drop.Drop)
	n := 0
	fill(reflect.ValueOf(d).Elem(), &n, 3)
	d.Conntrack.Reply.Protocol = d.Conntrack.Original.Protocol
	return d
}

// udp is an IPv4 datagram.
func udp(id uint16, sport, dport uint16, payload string) []byte {
	total := 28 + len(payload)
	b := []byte{
		0x45, 0, byte(total >> 8), byte(total), byte(id >> 8), byte(id), 0, 0, 64, 17, 0, 0,
		10, 0, 0, 1, 10, 0, 0, 2,
		byte(sport >> 8), byte(sport), byte(dport >> 8), byte(dport), 0, byte(8 + len(payload)), 0, 0,
	}
	return append(b, payload...)
}

// udpDrop is a drop of udp's with what belongs to it.
func udpDrop(i int) (*drop.Drop, *drop.Capture) {
	b := udp(uint16(i), uint16(40000+i%1000), 80, "payload")
	d := &drop.Drop{
		Type: "drop", Schema: drop.Schema, Time: sampleTime.Add(time.Duration(i) * 1001).Local(),
		Packet: drop.ReadPacket(0x0800, b),
		Netns:  drop.Netns{Inode: 4026532000, Name: "web"},
		Hook:   "input", In: &drop.Interface{Index: 2, Name: "eth0"},
		Verdict: "drop", Cause: "rule", Reason: "NETFILTER_DROP", Location: "nft_do_chain+0x3e8",
		Rule: &drop.Rule{
			Engine: "iptables-nft", Family: "ip", Table: "filter", BaseChain: "INPUT", Chain: "INPUT",
			Priority: new(int32), Handle: 12, Number: 7, Text: "-A INPUT -p udp -m udp --dport 80 -j DROP",
		},
		Attribution: drop.Attribution{Certainty: drop.Certain, Method: "nft-frame"},
		Conntrack: &drop.Conntrack{
			State: "new", Dir: "original", Status: []string{"confirmed"}, Timeout: new(30),
			Original: &drop.Tuple{
				Source: netip.AddrFrom4([4]byte{10, 0, 0, 1}), SourcePort: uint16(40000 + i%1000),
				Destination: netip.AddrFrom4([4]byte{10, 0, 0, 2}), DestinationPort: 80, Protocol: "udp",
			},
			Reply: &drop.Tuple{
				Source: netip.AddrFrom4([4]byte{10, 0, 0, 2}), SourcePort: 80,
				Destination: netip.AddrFrom4([4]byte{10, 0, 0, 1}), DestinationPort: uint16(40000 + i%1000), Protocol: "udp",
			},
		},
	}
	link := append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}, b...)
	return d, &drop.Capture{
		Link: drop.LinkEthernet, Data: link, Original: len(link), Parsed: len(b),
		Device: drop.Interface{Index: 2, Name: "eth0"}, Direction: drop.Inbound, Reception: drop.Unicast,
	}
}
