package statement

import (
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// maxShown is how many elements of an anonymous set its text shows.
const maxShown = 24

// Lookup is a statement that asks a set, to be finished once the set's elements
// are known.
type Lookup struct {
	Set  *Set
	Text *string

	prefix   string
	elements *ruleset.Set
	fields   []ruleset.Field
	context  context
	keys     bool // only the keys have a say
}

// Finish writes the statement's text: for people, a rule's own set is its
// elements.
func (l Lookup) Finish() {
	if !l.Set.anonymous() || l.elements == nil {
		*l.Text = l.prefix + l.Set.reference()
		return
	}
	var b strings.Builder
	b.WriteString(l.prefix + "{ ")
	for i, e := range l.elements.Elements {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == maxShown {
			b.WriteString("… " + strconv.Itoa(len(l.elements.Elements)-i) + " more")
			break
		}
		l.element(&b, e)
	}
	b.WriteString(" }")
	*l.Text = b.String()
}

func (l Lookup) element(b *strings.Builder, e ruleset.Element) {
	if e.CatchAll {
		b.WriteString("*")
	} else {
		from, to := e.From, e.To
		for i, f := range l.fields {
			if i > 0 {
				b.WriteString(" . ")
			}
			n := f.Size()
			if len(from) < n || len(to) < n {
				break
			}
			b.WriteString(l.context.rangeText(f, from[:n], to[:n]))
			from, to = from[n:], to[n:]
		}
	}
	switch {
	case e.Verdict != nil:
		b.WriteString(" : " + e.Verdict.Text)
	case e.Data != nil && !l.keys:
		b.WriteString(" : 0x" + strconv.FormatUint(number(e.Data), 16))
	}
}

// reference is how a rule names the set.
func (s *Set) reference() string {
	if s.anonymous() {
		return "{ … }"
	}
	return "@" + s.Name
}

// text names the key's fields.
func (k key) text(d *Decoder) string {
	names := make([]string, 0, len(k.fields))
	for _, f := range k.fields {
		if f == ruleset.Unknown(f.Size()) && k.doubt != nil {
			names = append(names, k.doubt.text)
			continue
		}
		names = append(names, d.fieldText(f))
	}
	if len(k.fields) == 1 && k.mask != nil && !isClass(k.fields[0], k.mask) {
		return names[0] + " & " + d.context.valueText(k.fields[0], k.mask)
	}
	return strings.Join(names, " . ")
}
