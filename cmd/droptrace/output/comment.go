package output

import (
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
)

// commentStyle is for one line in somebody else's window.
func commentStyle() Style { return Style{} }

// Comment tells on one line what happened to a packet: the text for the comment
// of a recorded packet. It is the same for all drops by one verdict, so that
// nothing of the packet is in it.
func Comment(d *drop.Drop) string {
	s := commentStyle()
	label, _ := s.verdictLabel(d)
	var b strings.Builder
	b.WriteString(label + ": " + s.facts(d))
	if r := d.Rule; r != nil && d.Cause != "kernel" && len(d.Attribution.Candidates) < 2 &&
		r.Text != "" && r.Text != "policy "+r.Policy {
		b.WriteString(": " + Escape(r.Text, false))
	}
	for _, w := range d.Why {
		b.WriteString("; why: " + Escape(w.Message, false))
	}
	return strings.ReplaceAll(b.String(), string(glue), " ")
}

// CommentNAT tells the tuples of a translated connection, to be put behind a
// Comment; "" where there is nothing to tell.
func CommentNAT(c *drop.Conntrack) string {
	nat := commentStyle().nat(c)
	if nat == "" {
		return ""
	}
	return "; nat: " + strings.ReplaceAll(nat, string(glue), " ")
}
