// Command bench measures what droptrace costs, side by side with other tools:
//
//	bench [-droptrace FILE] accepted      instructions that a packet which passes pays
//	bench [-droptrace FILE] connections   the same of a packet that gets a conntrack entry
//	bench [-droptrace FILE] drops         drops per second of one sender
//	bench [-droptrace FILE] loads         start, first answer and memory with large rulesets
//	bench [-droptrace FILE] tables        time and memory with large conntrack tables
//
// accepted and connections count instructions only where the clock does: in a
// guest of test/vm with -icount. What it prints are measures, never a verdict: it fails only where
// it could not measure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
)

// bench is what each report gets.
type bench struct {
	droptrace string
	peers     string // folder with other tools for the guest; may be missing
	out       *tabwriter.Writer
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	b := &bench{out: tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&b.droptrace, "droptrace", "./droptrace", "the `program` to measure")
	flags.StringVar(&b.peers, "peers", "/peers", "`folder` with pwru and the libraries that it needs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("want one of: accepted, connections, drops, loads, tables")
	}
	reports := map[string]func(context.Context) error{
		"accepted": b.accepted, "connections": b.connections, "drops": b.drops, "loads": b.loads, "tables": b.tables,
	}
	report, ok := reports[flags.Arg(0)]
	if !ok {
		return fmt.Errorf("no report %q: want accepted, connections, drops, loads or tables", flags.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer b.out.Flush()
	return report(ctx)
}

func (b *bench) row(format string, values ...any) { fmt.Fprintf(b.out, format+"\n", values...) }
