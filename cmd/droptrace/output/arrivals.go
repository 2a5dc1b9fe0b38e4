package output

import (
	"strings"

	"github.com/droptrace/droptrace/resolve/drop"
)

// maxArrivalPlaces is how many interfaces the closing words name.
const maxArrivalPlaces = 8

// writeArrivals tells nothing dropped from nothing there.
func writeArrivals(a *drop.Arrivals, p *summaryPrinter) {
	for _, side := range []struct {
		total uint64
		words string
		of    func(*drop.ArrivalPlace) uint64
	}{
		{a.Arrived, "arrived", func(i *drop.ArrivalPlace) uint64 { return i.Arrived }},
		{a.Sent, "sent", func(i *drop.ArrivalPlace) uint64 { return i.Sent }},
	} {
		if side.total == 0 {
			p.line(0, "no matching packet "+side.words)
			continue
		}
		p.line(0, glued(Plural(side.total, "matching packet", "matching packets")+" "+side.words)+arrivalPlaces(a, p.s, side.of))
	}
	if a.Undecided > 0 {
		p.line(labelIndent, Plural(a.Undecided, "packet", "packets")+
			" more may match: the expression looks at bytes of theirs that could not be read")
	}
	if len(a.LeftOut) > 0 {
		p.line(labelIndent, "counted without "+strings.Join(a.LeftOut, ", ")+": only drops have these")
	}
}

func arrivalPlaces(a *drop.Arrivals, s Style, of func(*drop.ArrivalPlace) uint64) string {
	var parts []string
	for i := range a.Interfaces {
		place := &a.Interfaces[i]
		n := of(place)
		if n == 0 {
			continue
		}
		if len(parts) == maxArrivalPlaces {
			parts = append(parts, "others")
			break
		}
		name := "interfaces beyond those counted apart"
		if place.Index != 0 {
			name = Escape(place.Name, s.ASCII)
		}
		if ns := netnsName(&place.Netns, s.ASCII); ns != "" && place.Index != 0 {
			name += " (" + ns + ")"
		}
		parts = append(parts, glued(count(n)+" on "+name))
	}
	if len(parts) == 1 {
		_, name, _ := strings.Cut(parts[0], string(glue)+"on"+string(glue))
		return " on " + name
	}
	return s.sep() + strings.Join(parts, ", ")
}

// Arrivals prints an arrivals record.
func (j *JSON) Arrivals(a drop.Arrivals) error {
	a.Type, a.Schema = typeArrivals, drop.Schema
	o := begin(j.buf)
	o.head(a.Type, a.Schema, a.Time)
	o.uint("arrived", a.Arrived)
	o.uint("sent", a.Sent)
	if len(a.Interfaces) > 0 {
		o.key("interfaces")
		for i := range a.Interfaces {
			place := &a.Interfaces[i]
			in := begin(append(o.b, ",["[b2i(i == 0)]))
			in.key("netns")
			in.b = appendNetns(in.b, &place.Netns)
			in.uint("index", uint64(place.Index))
			in.text("name", place.Name)
			in.uintOpt("arrived", place.Arrived)
			in.uintOpt("sent", place.Sent)
			o.b = in.end()
		}
		o.b = append(o.b, ']')
	}
	o.uintOpt("undecided", a.Undecided)
	o.list("left_out", a.LeftOut)
	j.buf = append(o.end(), '\n')
	return j.spill()
}
