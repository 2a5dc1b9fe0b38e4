package output

import (
	"net/netip"

	"github.com/droptrace/droptrace/resolve/drop"
)

// The functions here mirror the structs of package resolve field by field, in
// their order and with their omitempty. A test fills every field by reflection,
// so that none can be forgotten.

func (m *memo) appendDrop(dst []byte, d *drop.Drop) []byte {
	o := begin(dst)
	o.text("type", d.Type)
	o.int("schema", d.Schema)
	o.key("time")
	o.b = m.appendTime(o.b, d.Time)
	o.key("packet")
	o.b = appendPacket(o.b, &d.Packet)
	o.known("netns", m.netnsOf(&d.Netns))
	o.textOpt("hook", d.Hook)
	o.device("in", d.In)
	o.device("out", d.Out)
	o.text("verdict", d.Verdict)
	o.text("cause", d.Cause)
	o.textOpt("reason", d.Reason)
	o.textOpt("location", d.Location)
	o.textOpt("function", d.Function)
	if d.Rule != nil {
		o.known("rule", m.ruleOf(d.Rule))
	}
	o.key("attribution")
	o.b = appendAttribution(o.b, &d.Attribution)
	if d.Conntrack != nil {
		o.key("conntrack")
		o.b = appendConntrack(o.b, d.Conntrack)
	}
	if p := d.Process; p != nil {
		o.key("process")
		o.b = appendProcess(o.b, p)
	}
	if s := d.Socket; s != nil {
		o.key("socket")
		o.b = appendSocket(o.b, s)
	}
	o.why(d.Why)
	o.list("stack", d.Stack)
	o.uintOpt("repeats", d.Repeats)
	return o.end()
}

func appendSocket(dst []byte, s *drop.Socket) []byte {
	o := begin(dst)
	o.text("role", s.Role)
	o.uint("uid", uint64(s.UID))
	if len(s.Processes) > 0 {
		o.key("processes")
		for i := range s.Processes {
			o.b = appendProcess(append(o.b, ",["[b2i(i == 0)]), &s.Processes[i])
		}
		o.b = append(o.b, ']')
	}
	return o.end()
}

func appendProcess(dst []byte, p *drop.Process) []byte {
	o := begin(dst)
	o.int("pid", p.PID)
	o.text("command", p.Command)
	return o.end()
}

func appendFolded(dst []byte, r *foldedRecord) []byte {
	o := begin(dst)
	o.head(r.Type, r.Schema, r.Time)
	o.time("until", r.Until)
	o.text("scope", string(r.Scope))
	o.uint("count", r.Count)
	if r.Netns != nil {
		o.key("netns")
		o.b = appendNetns(o.b, r.Netns)
	}
	o.textOpt("hook", r.Hook)
	o.textOpt("verdict", r.Verdict)
	o.textOpt("cause", r.Cause)
	o.textOpt("reason", r.Reason)
	o.textOpt("location", r.Location)
	if r.Rule != nil {
		o.key("rule")
		o.b = appendRule(o.b, r.Rule)
	}
	return o.end()
}

func (o *object) lossPlaces(places []LossPlace) {
	if len(places) == 0 {
		return
	}
	o.key("places")
	for i := range places {
		p := &places[i]
		in := begin(append(o.b, ",["[b2i(i == 0)]))
		in.uint("lost", p.Lost)
		in.key("netns")
		in.b = appendNetns(in.b, &p.Netns)
		in.textOpt("hook", p.Hook)
		in.text("verdict", p.Verdict)
		in.text("cause", p.Cause)
		in.textOpt("reason", p.Reason)
		in.textOpt("location", p.Location)
		in.textOpt("function", p.Function)
		if p.Rule != nil {
			in.key("rule")
			in.b = appendRule(in.b, p.Rule)
		}
		o.b = in.end()
	}
	o.b = append(o.b, ']')
}

// addr writes an empty string for no address, as netip.Addr.MarshalText does.
func (o *object) addr(k string, a netip.Addr) {
	o.key(k)
	if a.Zone() != "" { // a zone is a name, hence a stranger's text
		o.b = appendString(o.b, a.String())
		return
	}
	o.b = append(o.b, '"')
	if a.IsValid() {
		o.b = a.AppendTo(o.b)
	}
	o.b = append(o.b, '"')
}

func (o *object) addrOpt(k string, a netip.Addr) {
	if a.IsValid() {
		o.addr(k, a)
	}
}

func appendPacket(dst []byte, p *drop.Packet) []byte {
	o := begin(dst)
	o.text("family", p.Family)
	o.textOpt("protocol", p.Protocol)
	o.addrOpt("source", p.Source)
	optional(&o, "source_port", p.SourcePort)
	o.addrOpt("destination", p.Destination)
	optional(&o, "destination_port", p.DestinationPort)
	o.list("tcp_flags", p.TCPFlags)
	if t := p.TCP; t != nil {
		o.key("tcp")
		in := begin(o.b)
		in.uint("seq", uint64(t.Seq))
		in.uintOpt("ack", uint64(t.Ack))
		in.uint("window", uint64(t.Window))
		in.uintOpt("urgent", uint64(t.Urgent))
		in.textOpt("options", t.Options)
		o.b = in.end()
	}
	optional(&o, "icmp_type", p.ICMPType)
	optional(&o, "icmp_code", p.ICMPCode)
	optional(&o, "icmp_id", p.ICMPID)
	optional(&o, "icmp_seq", p.ICMPSeq)
	optional(&o, "icmp_mtu", p.ICMPMTU)
	o.addrOpt("icmp_gateway", p.ICMPGateway)
	o.addrOpt("icmp_target", p.ICMPTarget)
	o.intOpt("ip_length", p.IPLength)
	if p.PayloadLength != nil {
		o.int("payload_length", *p.PayloadLength)
	}
	o.uintOpt("ttl", uint64(p.TTL))
	optional(&o, "ip_id", p.IPID)
	o.intOpt("segments", p.Segments)
	o.uintOpt("mark", uint64(p.Mark))
	optional(&o, "vlan", p.VLAN)
	if f := p.Fragment; f != nil {
		o.key("fragment")
		in := begin(o.b)
		in.uint("id", uint64(f.ID))
		in.int("offset", f.Offset)
		in.bool("more", f.More)
		o.b = in.end()
	}
	if p.Inner != nil {
		o.key("inner")
		o.b = appendPacket(o.b, p.Inner)
	}
	o.textOpt("arp_operation", p.ARPOperation)
	o.textOpt("arp_source", p.ARPSource)
	o.textOpt("arp_target", p.ARPTarget)
	return o.end()
}

func appendNetns(dst []byte, n *drop.Netns) []byte {
	o := begin(dst)
	o.uint("inode", uint64(n.Inode))
	o.textOpt("name", n.Name)
	o.intOpt("pid", n.PID)
	o.textOpt("command", n.Command)
	o.boolOpt("own", n.Own)
	return o.end()
}

// device leaves out an interface that the packet had not (In of an OUTPUT drop).
func (o *object) device(k string, i *drop.Interface) {
	if i == nil {
		return
	}
	o.key(k)
	in := begin(o.b)
	in.uint("index", uint64(i.Index))
	in.text("name", i.Name)
	o.b = in.end()
}

func appendRule(dst []byte, r *drop.Rule) []byte {
	o := begin(dst)
	o.text("engine", r.Engine)
	o.text("family", r.Family)
	o.text("table", r.Table)
	o.textOpt("base_chain", r.BaseChain)
	o.text("chain", r.Chain)
	if r.Priority != nil {
		o.int("priority", int(*r.Priority))
	}
	o.uintOpt("handle", r.Handle)
	o.intOpt("number", r.Number)
	o.textOpt("text", r.Text)
	o.textOpt("text_missing", r.TextMissing)
	o.textOpt("policy", r.Policy)
	return o.end()
}

func appendAttribution(dst []byte, a *drop.Attribution) []byte {
	o := begin(dst)
	o.text("certainty", string(a.Certainty))
	o.textOpt("method", a.Method)
	if len(a.Candidates) > 0 {
		o.key("candidates")
		for i := range a.Candidates {
			o.b = appendRule(append(o.b, ",["[b2i(i == 0)]), &a.Candidates[i])
		}
		o.b = append(o.b, ']')
	}
	o.textOpt("note", a.Note)
	return o.end()
}

func appendConntrack(dst []byte, c *drop.Conntrack) []byte {
	o := begin(dst)
	o.text("state", c.State)
	o.textOpt("dir", c.Dir)
	o.list("status", c.Status)
	o.tuple("original", c.Original)
	o.tuple("reply", c.Reply)
	o.uintOpt("zone", uint64(c.Zone))
	o.uintOpt("mark", uint64(c.Mark))
	o.textOpt("tcp_state", c.TCPState)
	if c.Timeout != nil {
		o.int("timeout", *c.Timeout)
	}
	o.list("nat", c.NAT)
	o.failureOpt("failure", c.Failure)
	return o.end()
}

// tuple writes one direction; ports are 0 where the protocol has none.
func (o *object) tuple(k string, t *drop.Tuple) {
	if t == nil {
		return
	}
	o.key(k)
	in := begin(o.b)
	in.addr("source", t.Source)
	in.uintOpt("source_port", uint64(t.SourcePort))
	in.addr("destination", t.Destination)
	in.uintOpt("destination_port", uint64(t.DestinationPort))
	in.text("protocol", t.Protocol)
	optional(&in, "icmp_type", t.ICMPType)
	optional(&in, "icmp_code", t.ICMPCode)
	optional(&in, "icmp_id", t.ICMPID)
	o.b = in.end()
}

func (o *object) why(list []drop.Why) {
	if len(list) == 0 {
		return
	}
	o.key("why")
	for i := range list {
		in := begin(append(o.b, ",["[b2i(i == 0)]))
		in.text("code", list[i].Code)
		in.text("message", list[i].Message)
		in.textOpt("fix", list[i].Fix)
		o.b = in.end()
	}
	o.b = append(o.b, ']')
}
