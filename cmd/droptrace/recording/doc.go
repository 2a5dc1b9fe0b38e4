// Package recording writes drops to files and reads them again.
//
// A recording is a pcapng file (draft-ietf-opsawg-pcapng) that every reader of
// such files takes: the packets as the kernel had them, an interface block for
// each namespace, interface and link type, and the verdict as each packet's
// comment. What droptrace needs to give the whole drop back stands where the
// format leaves room for private use, in option codes and block types whose
// highest bit is set; other programs skip it, and lose it when they write the file
// anew.
//
//   - Option 0x8d70 of the section header: the version of this form, one byte.
//   - Option 0x8d72 of the section header: since when drops were recorded, in
//     nanoseconds of the wall clock (64 bits).
//   - Block 0x80000d70, a verdict: a number (32 bits, in the section's byte order),
//     then JSON: a drop without all that differs from packet to packet. A number
//     that was given before now means the new verdict.
//   - Option 0x8d71 of an enhanced packet: the number of its verdict, then what
//     differs, as record.go tells.
//   - Block 0x80000d71, at the end: the counters of the run and its end as JSON. A
//     recording that was killed has none, and of those that were rotated only the
//     last.
//
// Each block is written whole, in one piece with its neighbours, and a file that
// has to be given up is cut back to its last whole block.
package recording
