package drop

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// Kinds of TCP options: RFC 9293, 7323, 2018, 7413.
const (
	optionEnd       = 0
	optionNop       = 1
	optionMSS       = 2
	optionScale     = 3
	optionSACKOK    = 4
	optionSACK      = 5
	optionTimestamp = 8
	optionFastOpen  = 34
)

// tcpOptions tells the options of a TCP header as tcpdump does, parted by
// commas. What is malformed ends the list, and kinds that are not known stand as
// a number with their bytes.
func tcpOptions(b []byte) string {
	var room [128]byte
	dst := room[:0]
	for len(b) > 0 {
		if len(dst) > 0 {
			dst = append(dst, ',')
		}
		kind := b[0]
		if kind == optionEnd {
			dst = append(dst, "eol"...)
			break
		}
		if kind == optionNop {
			dst, b = append(dst, "nop"...), b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			dst = append(dst, "[bad opt]"...)
			break
		}
		dst = appendOption(dst, kind, b[2:b[1]])
		b = b[b[1]:]
	}
	return string(dst)
}

func appendOption(dst []byte, kind uint8, b []byte) []byte {
	switch {
	case kind == optionMSS && len(b) == 2:
		return strconv.AppendUint(append(dst, "mss "...), uint64(binary.BigEndian.Uint16(b)), 10)
	case kind == optionScale && len(b) == 1:
		return strconv.AppendUint(append(dst, "wscale "...), uint64(b[0]), 10)
	case kind == optionSACKOK && len(b) == 0:
		return append(dst, "sackOK"...)
	case kind == optionSACK && len(b)%8 == 0 && len(b) > 0:
		return appendSACK(dst, b)
	case kind == optionTimestamp && len(b) == 8:
		dst = strconv.AppendUint(append(dst, "TS val "...), uint64(binary.BigEndian.Uint32(b)), 10)
		return strconv.AppendUint(append(dst, " ecr "...), uint64(binary.BigEndian.Uint32(b[4:])), 10)
	case kind == optionFastOpen && len(b) == 0:
		return append(dst, "tfo  cookiereq"...)
	case kind == optionFastOpen:
		return hex.AppendEncode(append(dst, "tfo  cookie "...), b)
	}
	dst = strconv.AppendUint(append(dst, "unknown-"...), uint64(kind), 10)
	if len(b) == 0 {
		return dst
	}
	return hex.AppendEncode(append(dst, " 0x"...), b)
}

// appendSACK writes "sack 1 {1:2}".
func appendSACK(dst, b []byte) []byte {
	dst = strconv.AppendInt(append(dst, "sack "...), int64(len(b)/8), 10)
	dst = append(dst, ' ')
	for ; len(b) >= 8; b = b[8:] {
		dst = strconv.AppendUint(append(dst, '{'), uint64(binary.BigEndian.Uint32(b)), 10)
		dst = strconv.AppendUint(append(dst, ':'), uint64(binary.BigEndian.Uint32(b[4:])), 10)
		dst = append(dst, '}')
	}
	return dst
}
