package output

// Recording is what a run has written to files.
type Recording struct {
	Name      string // as it was given; - is standard output
	Files     uint64
	Drops     uint64 // records in the files
	Stood     uint64 // drops that they stand for, 1+Repeats each
	Unwritten uint64 // drops that matched and are not in the files
	Printed   bool   // drops were printed as well
}

// matched is the first line's part.
func (r *Recording) matched(s Style) string {
	if r.Unwritten == 0 {
		return r.written(s)
	}
	return glued(count(r.Stood+r.Unwritten)+" matched:") + " " + r.written(s) + ", " +
		glued(count(r.Unwritten)+" not written")
}

// written names the files, and how many drops they hold.
func (r *Recording) written(s Style) string {
	to := glued("standard output")
	if r.Name != "-" {
		to = Escape(r.Name, s.ASCII)
	}
	if r.Files > 1 {
		to += glued(" (" + count(r.Files) + " files)")
	}
	text := glued(count(r.Drops)+" written to ") + to
	if r.Stood > r.Drops {
		text += glued(" for " + Plural(r.Stood, "drop", "drops"))
	}
	return text
}

// sum are the parts of what was delivered, besides what was filtered.
func (r *Recording) sum() []string {
	parts := []string{count(r.Stood) + " written"}
	if r.Unwritten > 0 {
		parts = append(parts, count(r.Unwritten)+" not written")
	}
	return parts
}
