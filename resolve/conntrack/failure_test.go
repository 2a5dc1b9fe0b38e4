package conntrack

import (
	"errors"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/conntrack/table"
	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/tracer/event"
)

// udpEntry is client:sport > 10.0.0.2:53, translated to leave from 192.0.2.1:out.
func udpEntry(sport, out uint16, status uint32) event.CTInfo {
	client, server, gate := v4(10, 1, 0, byte(sport)), v4(10, 0, 0, 2), v4(192, 0, 2, 1)
	return event.CTInfo{
		Present: event.CTEntry, CTInfo: ctNew, Status: status | netfilter.StatusSNAT,
		Original: event.CTTuple{Src: client, SrcPort: port(sport), L3Num: netfilter.IPv4, Dst: server, DstPort: port(53), Proto: protoUDP},
		Reply:    event.CTTuple{Src: server, SrcPort: port(53), L3Num: netfilter.IPv4, Dst: gate, DstPort: port(out), Proto: protoUDP, Dir: 1},
	}
}

func TestCauseOfAFailure(t *testing.T) {
	const both = event.HookedClash | event.HookedFull
	full := &drop.ConntrackTable{Count: 1000, Max: 1000, Buckets: 256}
	roomy := &drop.ConntrackTable{Count: 10, Max: 1000}
	loser := udpEntry(7, 5000, 0)
	established := udpEntry(7, 5000, netfilter.StatusConfirmed)
	established.CTInfo = ctEstablished
	plain := loser
	plain.Status, plain.Reply = 0, event.CTTuple{Src: loser.Original.Dst, SrcPort: port(53), Dst: loser.Original.Src,
		DstPort: port(7), L3Num: netfilter.IPv4, Proto: protoUDP, Dir: 1}
	tests := []struct {
		name      string
		failure   event.CTFailure
		ct        event.CTInfo
		facts     Facts
		cause     drop.FailureCause
		certainty string
	}{
		{"a probe saw the table full", event.CTFailure{Saw: event.SawFull}, event.CTInfo{}, Facts{Dropped: true, Table: full}, drop.CauseTableFull, certain},
		{"a probe saw an eviction", event.CTFailure{Saw: event.SawEvicted, Other: loser}, event.CTInfo{}, Facts{}, drop.CauseEarlyDrop, certain},
		{"a probe saw a clash of one flow", event.CTFailure{Saw: event.SawClash, Other: udpEntry(7, 6000, netfilter.StatusConfirmed)}, loser, Facts{Dropped: true}, drop.CauseSameFlowRace, certain},
		{"a probe saw two flows with one port", event.CTFailure{Saw: event.SawClash, Other: udpEntry(8, 5000, netfilter.StatusConfirmed)}, loser, Facts{Dropped: true}, drop.CauseNATPortCollision, certain},
		{"a clash with nothing in common", event.CTFailure{Saw: event.SawClash, Other: udpEntry(8, 5001, netfilter.StatusConfirmed)}, loser, Facts{Dropped: true}, drop.CauseClash, certain},
		{"counters of a clash", counted(event.Moved{InsertFailed: 1, Drop: 1}, 0), loser, Facts{Dropped: true}, drop.CauseClash, probable},
		{"counters of a clash that the probe denies", counted(event.Moved{InsertFailed: 1, Drop: 1}, both), loser, Facts{Dropped: true}, drop.CauseHelper, probable},
		{"a chain, by its counter", counted(event.Moved{InsertFailed: 1, ChainTooLong: 1}, 0), loser, Facts{Dropped: true}, drop.CauseChainTooLong, probable},
		{"a chain, and no clash", counted(event.Moved{InsertFailed: 1, ChainTooLong: 1}, both), loser, Facts{Dropped: true}, drop.CauseChainTooLong, certain},
		{"a chain, and no clash, of a packet that may have been on another CPU", counted(event.Moved{InsertFailed: 1, ChainTooLong: 1}, both), loser, Facts{Dropped: true, Preempted: true}, drop.CauseChainTooLong, probable},
		{"two chains at once", counted(event.Moved{InsertFailed: 2, ChainTooLong: 2}, both), loser, Facts{Dropped: true}, drop.CauseChainTooLong, probable},
		{"deleted meanwhile", counted(event.Moved{InsertFailed: 1}, both), udpEntry(7, 5000, netfilter.StatusDying), Facts{Dropped: true}, drop.CauseDying, probable},
		{"deleted meanwhile, and conntrack itself dropped it", atHook(counted(event.Moved{InsertFailed: 1}, 0), event.AtHookPlain), loser, Facts{Dropped: true}, drop.CauseDying, certain},
		{"deleted meanwhile, or its helper refused", atHook(counted(event.Moved{InsertFailed: 1}, 0), event.AtHookHelped), loser, Facts{Dropped: true}, drop.CauseDying, probable},
		{"deleted or its sequence number", atHook(counted(event.Moved{InsertFailed: 1}, 0), event.AtHookPlain), udpEntry(7, 5000, netfilter.StatusSeqAdjust), Facts{Dropped: true}, drop.CauseDying, probable},
		{"two that were deleted", atHook(counted(event.Moved{InsertFailed: 2}, 0), event.AtHookPlain), loser, Facts{Dropped: true}, drop.CauseDying, probable},
		{"deleted when it was in the table", atHook(counted(event.Moved{Drop: 1}, 0), event.AtHookPlain), udpEntry(7, 5000, netfilter.StatusDying|netfilter.StatusConfirmed), Facts{Dropped: true}, drop.CauseDying, probable},
		{"full, by its size", counted(event.Moved{Drop: 1}, 0), event.CTInfo{}, Facts{Dropped: true, Table: full}, drop.CauseTableFull, probable},
		{"not full", counted(event.Moved{Drop: 1}, 0), event.CTInfo{}, Facts{Dropped: true, Table: roomy}, drop.CauseNoMemory, probable},
		{"full now, but nothing was to be evicted", counted(event.Moved{Drop: 1}, both), event.CTInfo{}, Facts{Dropped: true, Table: full}, drop.CauseNoMemory, probable},
		{"neither full nor TCP", atHook(counted(event.Moved{Drop: 1}, both), event.AtHookPlain), event.CTInfo{}, Facts{Dropped: true, Table: roomy}, drop.CauseNoMemory, certain},
		{"neither full nor TCP, for two", atHook(counted(event.Moved{Drop: 2}, both), event.AtHookPlain), event.CTInfo{}, Facts{Dropped: true, Table: roomy}, drop.CauseNoMemory, probable},
		{"not full, and something was invalid", atHook(counted(event.Moved{Drop: 1, Invalid: 1}, both), event.AtHookPlain), event.CTInfo{}, Facts{Dropped: true, Table: roomy}, drop.CauseNoMemory, probable},
		{"a reopened connection, with probes", atHook(counted(event.Moved{Drop: 1, Invalid: 1}, both), event.AtHookPlain), event.CTInfo{}, Facts{Dropped: true, SYN: true, Table: roomy}, drop.CauseTCPReopenRace, probable},
		{"a reopened connection", counted(event.Moved{Drop: 1, Invalid: 1}, 0), event.CTInfo{}, Facts{Dropped: true, SYN: true, Table: roomy}, drop.CauseTCPReopenRace, probable},
		{"no counter moved", counted(event.Moved{}, 0), event.CTInfo{}, Facts{Dropped: true, Table: roomy}, drop.CauseUnknown, unknown},
		{"another way out", event.CTFailure{}, udpEntry(7, 5000, netfilter.StatusDying|netfilter.StatusConfirmed), Facts{Dropped: true, Hook: "nf_nat_ipv4_out"}, drop.CauseNATInterfaceChanged, probable},
		{"another way out, as NAT asks", event.CTFailure{Saw: event.SawOtherDevice}, udpEntry(7, 5000, netfilter.StatusDying|netfilter.StatusConfirmed), Facts{Dropped: true, Hook: "nf_nat_ipv4_out"}, drop.CauseNATInterfaceChanged, certain},
		{"another way out, and who dropped is not known", event.CTFailure{Saw: event.SawOtherDevice}, udpEntry(7, 5000, netfilter.StatusDying|netfilter.StatusConfirmed), Facts{Dropped: true}, drop.CauseNATInterfaceChanged, probable},
		{"a helper that says so", event.CTFailure{Saw: event.SawRefused, AtHook: event.AtHookHelped}, established, Facts{Dropped: true, Hook: "nf_confirm"}, drop.CauseHelper, certain},
		{"a helper, whatever was counted", atHook(counted(event.Moved{}, 0), event.AtHookHelped), established, Facts{Dropped: true, Hook: "nf_confirm", Preempted: true}, drop.CauseHelper, certain},
		{"a helper, since nothing else is asked", atHook(counted(event.Moved{}, 0), event.AtHookHelped), established, Facts{Dropped: true, Hook: "nf_confirm"}, drop.CauseHelper, certain},
		{"a helper of a new flow", atHook(counted(event.Moved{}, 0), event.AtHookHelped), loser, Facts{Dropped: true, Hook: "nf_confirm"}, drop.CauseHelper, probable},
		{"a helper", counted(event.Moved{}, 0), udpEntry(7, 5000, netfilter.StatusConfirmed|netfilter.StatusHelper), Facts{Dropped: true, Hook: "nf_confirm"}, drop.CauseHelper, probable},
		{"invalid, with the kernel's words", invalidFailure("SEQ is over upper bound %u (over the window)"), event.CTInfo{}, Facts{Dropped: true}, drop.CauseInvalid, certain},
		{"a complaint, and conntrack counted a drop", complained(counted(event.Moved{Drop: 1, Invalid: 1}, both)), event.CTInfo{}, Facts{Dropped: true, SYN: true, Table: roomy}, drop.CauseTCPReopenRace, probable},
		{"a complaint alone", invalidFailure("bad checksum"), event.CTInfo{}, Facts{}, drop.CauseInvalid, probable},
		{"invalid, with nothing to tell why", event.CTFailure{}, event.CTInfo{}, Facts{Dropped: true}, drop.CauseInvalid, probable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := FailureOf(&event.Event{CT: tt.ct, Failure: tt.failure}, tt.facts)
			if got.Cause != tt.cause || got.Certainty != tt.certainty {
				t.Errorf("%s, %s (%s), want %s, %s", got.Cause, got.Certainty, got.Note, tt.cause, tt.certainty)
			}
			if message, _ := Explain(got, nil); message == "" {
				t.Error("nothing to say about it")
			}
		})
	}
}

func counted(m event.Moved, hooked event.Hooked) event.CTFailure {
	return event.CTFailure{Counted: 1, Moved: m, Hooked: hooked}
}

func complained(f event.CTFailure) event.CTFailure {
	f.Saw = event.SawInvalid
	return f
}

func atHook(f event.CTFailure, how event.AtHook) event.CTFailure {
	f.AtHook = how
	return f
}

func invalidFailure(format string) (f event.CTFailure) {
	f.Saw = event.SawInvalid
	copy(f.Reason[:], format)
	return f
}

func TestReasonLeavesOutWhatIsNotKnown(t *testing.T) {
	f := FailureOf(&event.Event{Failure: invalidFailure("SEQ is over upper bound %u (over the window)")}, Facts{Dropped: true})
	if want := "SEQ is over upper bound (over the window)"; f.Reason != want {
		t.Errorf("%q, want %q", f.Reason, want)
	}
	if _, fix := Explain(f, nil); !strings.Contains(fix, "nf_conntrack_tcp_be_liberal") {
		t.Errorf("fix %q", fix)
	}
}

func TestAdviceHasTheNumbers(t *testing.T) {
	growth := 40
	f := &drop.Failure{Cause: drop.CauseTableFull, Table: &drop.ConntrackTable{Count: 65536, Max: 65536, Buckets: 16384, Growth: &growth}}
	message, fix := Explain(f, nil)
	if !strings.Contains(message, "65536 of 65536") || !strings.Contains(message, "40 more each second") ||
		!strings.Contains(fix, "nf_conntrack_max=131072") || !strings.Contains(fix, "nf_conntrack_buckets=32768") {
		t.Errorf("%q, %q", message, fix)
	}
	f = &drop.Failure{Cause: drop.CauseNATPortCollision, Pool: &drop.PortPool{Address: "192.0.2.1", Destination: "10.0.0.2:53", Protocol: "udp", InUse: 2, Low: 5000, High: 5001}}
	if message, fix = Explain(f, nil); !strings.Contains(message, "2 udp ports are in use (5000 to 5001)") || !strings.Contains(fix, "--random-fully") {
		t.Errorf("%q, %q", message, fix)
	}
	f = &drop.Failure{Cause: drop.CauseSameFlowRace}
	dns := &drop.Conntrack{Original: &drop.Tuple{Protocol: "udp", DestinationPort: 53}}
	if _, fix = Explain(f, dns); !strings.Contains(fix, "single-request-reopen") {
		t.Errorf("%q", fix)
	}
}

func TestWhoWasThereIsLookedUp(t *testing.T) {
	loser := udpEntry(7, 5000, 0)
	plain := loser
	plain.Status, plain.Reply.Dst, plain.Reply.DstPort = 0, plain.Original.Src, plain.Original.SrcPort
	own, reply := tableTuple(&loser.Original), tableTuple(&loser.Reply)
	other := *own
	other.SourcePort++
	busy := errors.New("too many lookups")
	for _, tt := range []struct {
		name  string
		loser event.CTInfo
		there map[table.Tuple]table.Entry // by the tuple that finds it
		err   error                       // where nothing does
		want  drop.FailureCause
	}{
		{"same flow, same translation", loser, map[table.Tuple]table.Entry{*reply: {Original: *own}}, table.ErrNoEntry, drop.CauseSameFlowRace},
		{"same flow, another translation", loser, map[table.Tuple]table.Entry{*own: {Original: *own}}, table.ErrNoEntry, drop.CauseSameFlowRace},
		{"another flow with its port", loser, map[table.Tuple]table.Entry{*reply: {Original: other}}, table.ErrNoEntry, drop.CauseNATPortCollision},
		{"gone", loser, nil, table.ErrNoEntry, drop.CauseClash},
		{"gone, and nothing was translated", plain, nil, table.ErrNoEntry, drop.CauseSameFlowRace},
		{"not looked up", plain, nil, busy, drop.CauseClash},
	} {
		f := &drop.Failure{Cause: drop.CauseClash}
		FindOther(f, &tt.loser, func(tuple *table.Tuple, _ uint16) (*table.Entry, error) {
			if e, ok := tt.there[*tuple]; ok {
				return &e, nil
			}
			return nil, tt.err
		})
		if f.Cause != tt.want || (f.Other != nil) != (tt.there != nil) {
			t.Errorf("%s: %s, %+v", tt.name, f.Cause, f.Other)
		}
	}
}
