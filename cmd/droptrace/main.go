// Command droptrace shows every packet that the kernel drops, with the rule
// that dropped it.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/droptrace/droptrace/cmd/droptrace/app"
	"github.com/droptrace/droptrace/cmd/droptrace/completion"
	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/source"
)

// heapGrowth is how much garbage there may be, in percent of what is in use. A
// quarter of Go's own: the start and the reading of large rulesets make most of it,
// the drops of a flood hardly any, but for their conntrack state (live.Trace.Next).
const heapGrowth = 25

func main() {
	debug.SetGCPercent(heapGrowth)
	os.Exit(run(os.Args, console.SystemTerminal(), source.Open))
}

// run is main without the process: it returns the exit code.
func run(args []string, t console.Terminal, open source.Opener) int {
	a := app.New(t, open)
	if words, ok := completion.Asked(args); ok {
		_ = completion.Print(context.Background(), t.Stdout, a, words) // a shell that has gone asks no more
		return 0
	}
	return console.Run(a, t, args)
}
