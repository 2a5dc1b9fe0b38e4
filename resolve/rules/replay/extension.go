package replay

// Kinds of extension fields: enum nft_exthdr_op.
const (
	extIPv6 = 0
	extTCP  = 1
	extIPv4 = 2
)

// extension reads an IPv6 extension header or an option. With length 0 the value
// is whether it is there.
func (v *view) extension(kind, number uint8, offset, length int) value {
	at, presence := v.findExtension(kind, number)
	if presence == NotKnown {
		return notKnown("header is not among the bytes that were recorded")
	}
	if length == 0 {
		if presence == Present {
			return known([]byte{1})
		}
		return known([]byte{0})
	}
	if presence == Absent {
		return absent()
	}
	b, presence := slice(&v.packet, at+offset, length)
	return answer(b, presence, "not among the bytes that were recorded")
}

func (v *view) findExtension(kind, number uint8) (int, Presence) {
	switch kind {
	case extIPv6:
		if v.packet.EtherType != etherIPv6 {
			return 0, Absent
		}
		for _, e := range v.layout.extensions {
			if e.number == number {
				return e.at, Present
			}
		}
		if v.layout.l4 == NotKnown {
			return 0, NotKnown
		}
		return 0, Absent
	case extTCP:
		l := &v.layout
		if l.l4 != Present {
			return 0, l.l4
		}
		if l.protocol != protoTCP || l.later {
			return 0, Absent
		}
		b, presence := slice(&v.packet, l.transport+12, 1)
		if presence != Present {
			return 0, presence
		}
		return v.findOption(l.transport+20, l.transport+int(b[0]>>4)*4, number)
	case extIPv4:
		if v.packet.EtherType != etherIPv4 {
			return 0, Absent
		}
		return v.findOption(20, v.layout.transport, number)
	}
	return 0, NotKnown
}

// findOption walks options of kind and length, in which 0 ends and 1 is a filler
// of one byte.
func (v *view) findOption(at, end int, number uint8) (int, Presence) {
	for at < end {
		b, presence := slice(&v.packet, at, 1)
		if presence != Present {
			return 0, presence
		}
		if b[0] == number {
			return at, Present
		}
		if b[0] == 0 {
			return 0, Absent
		}
		if b[0] == 1 {
			at++
			continue
		}
		size, presence := slice(&v.packet, at+1, 1)
		if presence != Present {
			return 0, presence
		}
		if size[0] < 2 {
			return 0, Absent
		}
		at += int(size[0])
	}
	return 0, Absent
}
