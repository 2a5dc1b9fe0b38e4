package output

import (
	"github.com/droptrace/droptrace/resolve/drop"
)

// Failure prints one conntrack failure.
func (j *JSON) Failure(f *drop.ConntrackFailure) error {
	j.buf = append(appendConntrackFailure(j.buf, f), '\n')
	return j.spill()
}

// Sample prints how a conntrack table stands.
func (j *JSON) Sample(s *drop.ConntrackSample) error {
	j.buf = append(appendSample(j.buf, s), '\n')
	return j.spill()
}

func appendConntrackFailure(dst []byte, f *drop.ConntrackFailure) []byte {
	o := begin(dst)
	o.head(f.Type, f.Schema, f.Time)
	o.key("packet")
	o.b = appendPacket(o.b, &f.Packet)
	o.key("netns")
	o.b = appendNetns(o.b, &f.Netns)
	o.textOpt("hook", f.Hook)
	o.device("in", f.In)
	o.device("out", f.Out)
	o.bool("lost", f.Lost)
	if f.Conntrack != nil {
		o.key("conntrack")
		o.b = appendConntrack(o.b, f.Conntrack)
	}
	o.failureOpt("failure", &f.Failure)
	o.why(f.Why)
	o.uintOpt("repeats", f.Repeats)
	o.boolOpt("mixed", f.Mixed)
	return o.end()
}

func (o *object) failureOpt(k string, f *drop.Failure) {
	if f == nil {
		return
	}
	o.key(k)
	in := begin(o.b)
	in.text("cause", string(f.Cause))
	in.text("certainty", f.Certainty)
	in.textOpt("reason", f.Reason)
	if f.Other != nil {
		in.key("other")
		in.b = appendEntry(in.b, f.Other)
	}
	if f.Table != nil {
		in.key("table")
		in.b = appendTable(in.b, f.Table)
	}
	if p := f.Pool; p != nil {
		in.key("pool")
		pool := begin(in.b)
		pool.text("address", p.Address)
		pool.text("destination", p.Destination)
		pool.text("protocol", p.Protocol)
		pool.int("in_use", p.InUse)
		pool.uint("low", uint64(p.Low))
		pool.uint("high", uint64(p.High))
		in.b = pool.end()
	}
	in.textOpt("note", f.Note)
	o.b = in.end()
}

func appendEntry(dst []byte, e *drop.ConntrackEntry) []byte {
	o := begin(dst)
	o.list("status", e.Status)
	o.tuple("original", e.Original)
	o.tuple("reply", e.Reply)
	o.uintOpt("zone", uint64(e.Zone))
	o.uintOpt("mark", uint64(e.Mark))
	o.textOpt("tcp_state", e.TCPState)
	if e.Timeout != nil {
		o.int("timeout", *e.Timeout)
	}
	o.list("nat", e.NAT)
	return o.end()
}

func appendTable(dst []byte, t *drop.ConntrackTable) []byte {
	o := begin(dst)
	o.uint("count", t.Count)
	o.uint("max", t.Max)
	o.uintOpt("buckets", t.Buckets)
	if t.Growth != nil {
		o.int("growth", *t.Growth)
	}
	return o.end()
}

func appendSample(dst []byte, s *drop.ConntrackSample) []byte {
	o := begin(dst)
	o.head(s.Type, s.Schema, s.Time)
	o.key("netns")
	o.b = appendNetns(o.b, &s.Netns)
	o.key("table")
	o.b = appendTable(o.b, &s.Table)
	o.counts("total", &s.Total)
	o.counts("delta", s.Delta)
	o.intOpt("milliseconds", s.Milliseconds)
	if s.Fill != nil {
		o.key("fill")
		o.b = appendFill(o.b, s.Fill)
	}
	return o.end()
}

func (o *object) counts(k string, c *drop.ConntrackCounts) {
	if c == nil {
		return
	}
	o.key(k)
	in := begin(o.b)
	in.uint("insert", c.Insert)
	in.uint("insert_failed", c.InsertFailed)
	in.uint("drop", c.Drop)
	in.uint("early_drop", c.EarlyDrop)
	in.uint("clash_resolve", c.ClashResolve)
	in.uint("chaintoolong", c.ChainTooLong)
	in.uint("invalid", c.Invalid)
	in.uint("search_restart", c.SearchRestart)
	in.uint("found", c.Found)
	o.b = in.end()
}

func appendFill(dst []byte, f *drop.Fill) []byte {
	o := begin(dst)
	o.uint("entries", f.Entries)
	o.key("states")
	o.b = append(o.b, '[')
	for i, s := range f.States {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		in := begin(o.b)
		in.text("protocol", s.Protocol)
		in.textOpt("state", s.State)
		in.boolOpt("unreplied", s.Unreplied)
		in.boolOpt("assured", s.Assured)
		in.uint("count", s.Count)
		o.b = in.end()
	}
	o.b = append(o.b, ']')
	o.fillCounts("sources", f.Sources)
	o.fillCounts("destinations", f.Destinations)
	return o.end()
}

func (o *object) fillCounts(k string, list []drop.FillCount) {
	o.key(k)
	o.b = append(o.b, '[')
	for i, c := range list {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		in := begin(o.b)
		in.text("key", c.Key)
		in.uint("count", c.Count)
		o.b = in.end()
	}
	o.b = append(o.b, ']')
}
