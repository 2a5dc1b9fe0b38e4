package table

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/netfilter"
)

func tuple4() Tuple {
	return Tuple{
		Source: netip.MustParseAddr("192.0.2.1"), Destination: netip.MustParseAddr("198.51.100.7"),
		SourcePort: 40000, DestinationPort: 53, Protocol: unix.IPPROTO_UDP,
	}
}

func addrs() cmp.Option {
	return cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
}

func TestTupleSurvivesTheWire(t *testing.T) {
	six := tuple4()
	six.Source, six.Destination = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	ping := tuple4()
	ping.Protocol, ping.SourcePort, ping.DestinationPort = unix.IPPROTO_ICMP, 77, 8<<8|1
	ping6 := six
	ping6.Protocol, ping6.SourcePort, ping6.DestinationPort = unix.IPPROTO_ICMPV6, 77, 128<<8
	for _, want := range []Tuple{tuple4(), six, ping, ping6} {
		var got Tuple
		got.parse(appendTuple(nil, &want))
		if diff := cmp.Diff(want, got, addrs()); diff != "" {
			t.Error(diff)
		}
	}
}

func entryBytes() []byte {
	original, reply := tuple4(), tuple4()
	reply.Source, reply.Destination = original.Destination, original.Source
	b := nested(nil, attrOriginal, func(b []byte) []byte { return appendTuple(b, &original) })
	b = nested(b, attrReply, func(b []byte) []byte { return appendTuple(b, &reply) })
	b = attribute(b, attrStatus, binary.BigEndian.AppendUint32(nil, netfilter.StatusSeenReply|netfilter.StatusAssured))
	b = attribute(b, attrTimeout, binary.BigEndian.AppendUint32(nil, 119))
	b = attribute(b, attrMark, binary.BigEndian.AppendUint32(nil, 7))
	b = attribute(b, attrZone, binary.BigEndian.AppendUint16(nil, 3))
	return nested(b, attrProtoinfo, func(b []byte) []byte {
		return nested(b, protoinfoTCP, func(b []byte) []byte { return attribute(b, protoinfoTCPState, []byte{4}) })
	})
}

func TestEntryIsRead(t *testing.T) {
	var got Entry
	if err := got.parse(entryBytes()); err != nil {
		t.Fatal(err)
	}
	want := Entry{
		Original: tuple4(), Reply: tuple4(), Status: 6, Mark: 7, Zone: 3, Timeout: 119, TCPState: 4,
	}
	want.Reply.Source, want.Reply.Destination = want.Original.Destination, want.Original.Source
	if diff := cmp.Diff(want, got, addrs()); diff != "" {
		t.Error(diff)
	}
	if err := new(Entry).parse(nil); !errors.Is(err, errMalformed) {
		t.Errorf("nothing: %v, want it refused", err)
	}
}

func TestReadingAnEntryAllocatesNothing(t *testing.T) {
	b := entryBytes()
	var e Entry
	if n := testing.AllocsPerRun(100, func() { e = Entry{}; _ = e.parse(b) }); n != 0 {
		t.Errorf("%v allocations an entry", n)
	}
}

func FuzzEntry(f *testing.F) {
	f.Add(entryBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Entry
		_ = e.parse(b)
	})
}

func FuzzSingle(f *testing.F) {
	f.Add(append(make([]byte, 20), entryBytes()...), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, sequence uint32) {
		_, _ = single(b, sequence)
	})
}

func BenchmarkParseEntry(b *testing.B) {
	raw := entryBytes()
	var e Entry
	b.ReportAllocs()
	for b.Loop() {
		e = Entry{}
		if err := e.parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
