package live

import (
	"fmt"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
)

// count prints how far it is. Drops wait while the rules of their namespace are read.
func (w *writer) count() {
	w.status.Erase()
	c := w.s.src.Stats()
	matched := c.Delivered - min(c.FilteredUser, c.Delivered)
	waiting := matched - min(w.s.received.Load(), matched)
	console.PrintMessage(w.s.t.Stderr, w.s.t.Style(w.s.t.Stderr), fmt.Sprintf("%s, %d matched, %d lost, %d waiting for their rules",
		output.Plural(c.Seen, "drop seen", "drops seen"), matched, c.Lost, waiting), nil)
}
