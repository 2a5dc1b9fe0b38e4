package recording

import "encoding/binary"

// Block types, option codes and constants of the pcapng format.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6
	blockVerdict   = 0x80000d70
	blockCounts    = 0x80000d71

	byteOrderMagic = 0x1a2b3c4d
	unspecified    = ^uint64(0) // length of a section

	optEnd      = 0
	optComment  = 1
	optHardware = 2 // of a section
	optOS       = 3
	optApp      = 4
	optName     = 2 // of an interface
	optAbout    = 3
	optTSResol  = 9
	optFlags    = 2 // of a packet
	optDrops    = 4
	optVersion  = 0x8d70
	optRecord   = 0x8d71
	optStarted  = 0x8d72

	nanoseconds = 9 // as tsresol: powers of ten

	blockOverhead = 12 // type, length, and the length again
	optionHeader  = 4
)

// version is that of the private parts.
const version = 1

// All numbers are little endian: the readers on the machines that run droptrace
// need not turn them round, others can.
var order = binary.LittleEndian

// beginBlock appends the head of a block whose length endBlock fills in.
func beginBlock(dst []byte, kind uint32) (b []byte, start int) {
	start = len(dst)
	dst = order.AppendUint32(dst, kind)
	return order.AppendUint32(dst, 0), start
}

func endBlock(dst []byte, start int) []byte {
	n := uint32(len(dst) - start + 4)
	order.PutUint32(dst[start+4:], n)
	return order.AppendUint32(dst, n)
}

// appendPadded appends data and zeros up to a multiple of four.
func appendPadded[T []byte | string](dst []byte, data T) []byte {
	dst = append(dst, data...)
	for n := len(data); n%4 != 0; n++ {
		dst = append(dst, 0)
	}
	return dst
}

// maxOption is the most that an option's 16 bits of length allow, and no more
// than anybody reads.
const maxOption = 8 << 10

func appendOption[T []byte | string](dst []byte, code uint16, value T) []byte {
	value = value[:min(len(value), maxOption)]
	dst = order.AppendUint16(dst, code)
	dst = order.AppendUint16(dst, uint16(len(value)))
	return appendPadded(dst, value)
}

func appendEnd(dst []byte) []byte { return order.AppendUint32(dst, optEnd) }
