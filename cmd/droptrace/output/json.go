package output

import (
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/droptrace/droptrace/resolve/drop"
)

// spillBytes is how much is gathered before it is written.
const spillBytes = 64 << 10

// JSON prints one object a line. It encodes by hand: encoding/json takes more than
// three times as long, and at a flood every microsecond is a drop folded. A test
// holds both to the same result.
type JSON struct {
	w    io.Writer
	buf  []byte
	memo memo
}

// NewJSON prints to w.
func NewJSON(w io.Writer) *JSON { return &JSON{w: w} }

// Drop prints one drop.
func (j *JSON) Drop(d *drop.Drop) error {
	j.buf = append(j.memo.appendDrop(j.buf, d), '\n')
	return j.spill()
}

// Folded prints drops of one flow as the first of them with the others as its
// repeats, and drops that differ as a record of their own. It returns how many
// of them have a record to themselves.
func (j *JSON) Folded(f Folded) (shown uint64, err error) {
	if f.Scope == ScopeFlow {
		d := *f.Drop
		d.Repeats = f.Count - 1
		return 1, j.Drop(&d)
	}
	r := f.record()
	j.buf = append(appendFolded(j.buf, &r), '\n')
	return 0, j.spill()
}

// Loss prints a loss record.
func (j *JSON) Loss(l Loss) error {
	l.Type, l.Schema = typeLoss, drop.Schema
	o := begin(j.buf)
	o.head(l.Type, l.Schema, l.Time)
	o.uint("lost", l.Lost)
	o.uint("total", l.Total)
	o.lossPlaces(l.Places)
	j.buf = append(o.end(), '\n')
	return j.spill()
}

// Notice prints a notice record.
func (j *JSON) Notice(n drop.Notice) error {
	n.Type, n.Schema = typeNotice, drop.Schema
	o := begin(j.buf)
	o.head(n.Type, n.Schema, n.Time)
	o.text("message", n.Message)
	o.list("hints", n.Hints)
	j.buf = append(o.end(), '\n')
	return j.spill()
}

// SetWidth does nothing: a record is one line.
func (j *JSON) SetWidth(int) {}

// Flush writes what was printed.
func (j *JSON) Flush() error {
	if len(j.buf) == 0 {
		return nil
	}
	_, err := j.w.Write(j.buf)
	j.buf = j.buf[:0]
	return err
}

func (j *JSON) spill() error {
	if len(j.buf) < spillBytes {
		return nil
	}
	return j.Flush()
}

// object appends the members of one JSON object. Methods whose name ends in Opt
// leave a zero member out, as omitempty does.
type object struct {
	b     []byte
	start int
}

// begin opens an object behind dst.
func begin(dst []byte) object { return object{dst, len(dst)} }

// key begins a member. Keys are ours and need no escaping. Every member begins
// with a comma: end makes a brace of the first.
func (o *object) key(k string) {
	const frame = len(`,"":`)
	n := len(o.b)
	o.b = slices.Grow(o.b, frame+len(k))[:n+frame+len(k)]
	b := o.b[n:]
	b[0], b[1] = ',', '"'
	copy(b[2:], k)
	b[len(b)-2], b[len(b)-1] = '"', ':'
}

func (o *object) end() []byte {
	if len(o.b) == o.start {
		return append(o.b, "{}"...)
	}
	o.b[o.start] = '{'
	return append(o.b, '}')
}

// head is what all records begin with.
func (o *object) head(kind string, schema int, t time.Time) {
	o.text("type", kind)
	o.int("schema", schema)
	o.time("time", t)
}

// known writes a member that was encoded before.
func (o *object) known(k string, value []byte) {
	o.key(k)
	o.b = append(o.b, value...)
}

func (o *object) text(k, s string) {
	o.key(k)
	o.b = appendString(o.b, s)
}

func (o *object) textOpt(k, s string) {
	if s != "" {
		o.text(k, s)
	}
}

func (o *object) int(k string, n int) {
	o.key(k)
	o.b = strconv.AppendInt(o.b, int64(n), 10)
}

func (o *object) intOpt(k string, n int) {
	if n != 0 {
		o.int(k, n)
	}
}

func (o *object) uint(k string, n uint64) {
	o.key(k)
	o.b = strconv.AppendUint(o.b, n, 10)
}

func (o *object) uintOpt(k string, n uint64) {
	if n != 0 {
		o.uint(k, n)
	}
}

func (o *object) bool(k string, v bool) {
	o.key(k)
	o.b = strconv.AppendBool(o.b, v)
}

func (o *object) boolOpt(k string, v bool) {
	if v {
		o.bool(k, v)
	}
}

// time writes what time.Time.MarshalJSON does.
func (o *object) time(k string, t time.Time) {
	o.key(k)
	o.b = append(o.b, '"')
	o.b = t.AppendFormat(o.b, time.RFC3339Nano)
	o.b = append(o.b, '"')
}

// list leaves an empty list out: all lists are omitempty.
func (o *object) list(k string, l []string) {
	if len(l) == 0 {
		return
	}
	o.key(k)
	for i, s := range l {
		o.b = append(o.b, ",["[b2i(i == 0)])
		o.b = appendString(o.b, s)
	}
	o.b = append(o.b, ']')
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// optional writes a number that is absent where its pointer is nil.
func optional[T uint8 | uint16 | uint32](o *object, k string, p *T) {
	if p != nil {
		o.uint(k, uint64(*p))
	}
}

// appendString writes s as a JSON string. What a terminal could obey is escaped
// too (DEL, C1, bidi controls): JSON is read on terminals as well.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := literalPrefix(s); i < len(s); {
		c := s[i]
		if literal(c) {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		if r >= 0xa0 && !(r == utf8.RuneError && size == 1) && strconv.IsPrint(r) {
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendJSONRune(dst, r)
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// literal reports whether c stands for itself.
func literal(c byte) bool { return c >= ' ' && c <= '~' && c != '"' && c != '\\' }

// literalPrefix returns how much of s, in steps of eight bytes, needs no look at each.
func literalPrefix(s string) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		t := s[i : i+8]
		x := uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
			uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
		quote, slash, del := x^ones*'"', x^ones*'\\', x^ones*0x7f
		// The high bit of a byte: it is not ASCII, or borrows when 1 (or, for
		// controls, a blank) is taken from it. A borrow from the byte below can
		// only find too much.
		if (x|(x-ones*' ')|(quote-ones)|(slash-ones)|(del-ones))&high != 0 {
			break
		}
	}
	return i
}

// appendJSONRune escapes one rune; an invalid byte comes as U+FFFD, as from
// encoding/json.
func appendJSONRune(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	if r > 0xffff { // a surrogate pair
		r -= 0x10000
		dst = appendEscapedRune(dst, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return appendEscapedRune(dst, r)
}
