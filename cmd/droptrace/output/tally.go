package output

import (
	"cmp"
	"slices"

	"github.com/droptrace/droptrace/resolve/drop"
)

// maxTally bounds how many rules and reasons are counted apart.
const maxTally = 4096

// Tally counts drops by what dropped them and by the kernel's reason. The zero
// value is empty and ready.
type Tally struct {
	places  map[ruleKey]*placeTotal
	last    *placeTotal // of the drop before: mostly it is the same again
	reasons map[string]*uint64
	// What found no room above.
	otherPlaces  placeTotal
	otherReasons uint64
}

type placeTotal struct {
	key   ruleKey
	drop  drop.Drop // the first of them, for its names
	count uint64
	lost  uint64 // of them: no record of them came through
}

// Add counts d with its repeats.
func (t *Tally) Add(d *drop.Drop) { t.add(d, 1+d.Repeats, 0) }

// Lose counts n drops like d that were lost.
func (t *Tally) Lose(d *drop.Drop, n uint64) { t.add(d, n, n) }

func (t *Tally) add(d *drop.Drop, n, lost uint64) {
	if t.places == nil {
		t.places, t.reasons = make(map[ruleKey]*placeTotal), make(map[string]*uint64)
	}
	k := ruleKeyOf(d)
	k.verdict, k.hook = "", "" // one rule is one line, wherever it is reached from
	if t.last == nil || t.last.key != k {
		t.last = t.place(k, d)
	}
	t.last.count += n
	t.last.lost += lost
	reason := t.reasons[d.Reason]
	switch {
	case reason != nil:
	case len(t.reasons) < maxTally:
		reason = new(uint64)
		t.reasons[d.Reason] = reason
	default:
		reason = &t.otherReasons
	}
	*reason += n
}

// place finds what counts drops of that key.
func (t *Tally) place(k ruleKey, d *drop.Drop) *placeTotal {
	p := t.places[k]
	switch {
	case p != nil:
	case len(t.places) < maxTally:
		p = &placeTotal{key: k, drop: *d}
		t.places[k] = p
	default:
		p = &t.otherPlaces
	}
	return p
}

// total is a line of the summary.
type total struct {
	count uint64
	name  string
	text  string
}

// byPlace returns the rules and other causes, the busiest first.
func (t *Tally) byPlace(s Style) []total {
	list := make([]total, 0, len(t.places))
	for _, p := range t.places {
		l := total{count: p.count, name: s.short(&p.drop)}
		if ns := s.netns(&p.drop.Netns); ns != "" {
			l.name += s.sep() + ns
		}
		if p.lost > 0 {
			l.name += s.sep() + glued(count(p.lost)+" of them lost, not shown")
		}
		switch {
		case p.drop.Rule != nil:
			l.text = Escape(p.drop.Rule.Text, s.ASCII)
		case p.drop.Cause == "kernel":
			l.text = Escape(p.drop.Location, s.ASCII)
		}
		list = append(list, l)
	}
	sortTotals(list)
	if t.otherPlaces.count > 0 {
		list = append(list, total{count: t.otherPlaces.count, name: "other rules and places"})
	}
	return list
}

// byReason returns the kernel's reasons, the busiest first.
func (t *Tally) byReason(s Style) []total {
	list := make([]total, 0, len(t.reasons))
	texts := t.reasonTexts()
	for r, n := range t.reasons {
		l := total{count: *n, name: Escape(r, s.ASCII), text: texts[r]}
		if r == "" {
			l.name = "no reason given by this kernel"
		}
		list = append(list, l)
	}
	sortTotals(list)
	if t.otherReasons > 0 {
		list = append(list, total{count: t.otherReasons, name: "other reasons"})
	}
	return list
}

// reasonTexts are the words for reasons. One that means something else at each of the
// places where it was met has none.
func (t *Tally) reasonTexts() map[string]string {
	texts := make(map[string]string, len(t.reasons))
	for _, p := range t.places {
		d := &p.drop
		text := explain(d)
		if other, met := texts[d.Reason]; met && other != text {
			text = ""
		}
		texts[d.Reason] = text
	}
	return texts
}

// sortTotals puts the busiest first, and equals in an order that does not change.
func sortTotals(list []total) {
	slices.SortFunc(list, func(a, b total) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.name, b.name), cmp.Compare(a.text, b.text))
	})
}
