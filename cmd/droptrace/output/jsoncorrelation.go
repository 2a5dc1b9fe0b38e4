package output

import (
	"time"

	"github.com/droptrace/droptrace/resolve/correlate"
	"github.com/droptrace/droptrace/resolve/drop"
)

const typeCorrelation = "correlation"

// correlationRecord is the JSON form of a correlate.Result.
type correlationRecord struct {
	Type       string            `json:"type"`
	Schema     int               `json:"schema"`
	Time       time.Time         `json:"time"` // of the capture; of the drop where there is no frame
	Status     string            `json:"status"`
	Frame      uint64            `json:"frame,omitempty"` // its number in the capture
	Packet     drop.Packet       `json:"packet"`
	AfterNS    *int64            `json:"after_ns,omitempty"` // from the capture to the drop
	Number     uint64            `json:"number,omitempty"`   // of the drop in the recording
	Drop       *drop.Drop        `json:"drop,omitempty"`
	Fragment   bool              `json:"fragment,omitempty"`   // it was dropped with the rest of its datagram
	Candidates []candidateRecord `json:"candidates,omitempty"` // of an ambiguous packet
	More       bool              `json:"more,omitempty"`       // and there are others
}

type candidateRecord struct {
	Number  uint64     `json:"number"`
	AfterNS int64      `json:"after_ns"`
	Drop    *drop.Drop `json:"drop"`
}

func correlationOf(r *correlate.Result) correlationRecord {
	out := correlationRecord{
		Type: typeCorrelation, Schema: drop.Schema, Time: r.Time, Status: string(r.Status),
		Frame: r.Frame, Packet: r.Packet, Fragment: r.Fragment, More: r.More,
	}
	if r.Drop != nil {
		out.Number, out.Drop = r.Drop.Number, r.Drop.Drop
		if r.Frame != 0 {
			out.AfterNS = new(int64(r.After))
		}
	}
	for _, f := range r.Candidates {
		out.Candidates = append(out.Candidates, candidateRecord{f.Number, int64(f.Drop.Time.Sub(r.Time)), f.Drop})
	}
	return out
}

func (m *memo) appendCorrelation(dst []byte, r *correlationRecord) []byte {
	o := begin(dst)
	o.head(r.Type, r.Schema, r.Time)
	o.text("status", r.Status)
	o.uintOpt("frame", r.Frame)
	o.key("packet")
	o.b = appendPacket(o.b, &r.Packet)
	if r.AfterNS != nil {
		o.int("after_ns", int(*r.AfterNS))
	}
	o.uintOpt("number", r.Number)
	if r.Drop != nil {
		o.key("drop")
		o.b = m.appendDrop(o.b, r.Drop)
	}
	o.boolOpt("fragment", r.Fragment)
	if len(r.Candidates) > 0 {
		o.key("candidates")
		for i := range r.Candidates {
			o.b = m.appendCandidate(append(o.b, ",["[b2i(i == 0)]), &r.Candidates[i])
		}
		o.b = append(o.b, ']')
	}
	o.boolOpt("more", r.More)
	return o.end()
}

func (m *memo) appendCandidate(dst []byte, c *candidateRecord) []byte {
	o := begin(dst)
	o.uint("number", c.Number)
	o.int("after_ns", int(c.AfterNS))
	o.key("drop")
	o.b = m.appendDrop(o.b, c.Drop)
	return o.end()
}
