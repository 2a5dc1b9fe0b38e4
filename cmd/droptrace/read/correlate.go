package read

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/live"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/cmd/droptrace/read/capture"
	"github.com/droptrace/droptrace/cmd/droptrace/recording"
	"github.com/droptrace/droptrace/resolve/correlate"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer/filter"
)

const correlateCategory = "With a capture:"

// defaultWithin holds what waits in a backlog or for a verdict from user space.
const defaultWithin = 100 * time.Millisecond

func correlateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "correlate", Category: correlateCategory, Usage: "`CAPTURE` which of its packets were dropped, by what"},
		&cli.BoolFlag{Name: "only-dropped", Category: correlateCategory, Usage: "leave out drops that are not in the capture"},
		&cli.BoolFlag{Name: "passed", Category: correlateCategory, Usage: "list packets too for which no drop was recorded"},
		&cli.StringFlag{Name: "within", Category: correlateCategory, Usage: "`TIME` from capture to drop at most: 100ms"},
	}
}

// correlation is one run of read --correlate.
type correlation struct {
	o           live.Options
	t           console.Terminal
	filter      *filter.Filter
	capture     string
	onlyDropped bool
	options     correlate.Options
	out         *output.Correlation
	shown       uint64

	frames  *capture.Reader
	frame   uint64
	drops   *dropChain
	problem error // of a capture that could not be read to its end
}

func correlateAction(c *cli.Context, t console.Terminal, o live.Options, f *filter.Filter, files []string) error {
	if o.Record.Name != "" {
		return console.BadUsage(errors.New("-w and --correlate exclude each other"), "use --json to keep what --correlate finds")
	}
	r := &correlation{
		o: o, t: t, filter: f, capture: c.String("correlate"), onlyDropped: c.Bool("only-dropped"),
		options: correlate.Options{Within: defaultWithin, Passed: c.Bool("passed")},
		out:     output.NewCorrelation(t.Stdout, t.Style(t.Stdout), t.Zone, o.Format == "json"),
		drops:   &dropChain{t: t, files: files, filter: f},
	}
	if c.IsSet("within") {
		d, err := time.ParseDuration(c.String("within"))
		if err != nil || d <= 0 || d > time.Hour {
			return console.BadUsage(fmt.Errorf("--within %q is no time", c.String("within")), "want a time such as 100ms or 2s")
		}
		r.options.Within = d
	}
	return r.run(c.Context)
}

func (r *correlation) run(ctx context.Context) error {
	in, err := console.OpenInput(r.capture, r.t)
	if err != nil {
		return err
	}
	defer in.Close()
	if r.frames, err = capture.NewReader(in); err != nil {
		return fmt.Errorf("%s %w", r.capture, err)
	}
	defer r.drops.close()
	if err := r.drops.next(); err != nil {
		return err
	}
	from, _ := r.drops.reader.Span()
	counts, err := correlate.Run(ctx, correlate.Input{
		Frames: r.nextFrame, Drops: r.drops.read, From: from, To: r.drops.ended,
	}, r.options, r.result)
	if flushErr := r.out.Flush(); flushErr != nil && err == nil {
		err = fmt.Errorf("write to standard output: %w", flushErr)
	}
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	if errors.Is(err, errEnough) || errors.Is(err, console.ErrSignal) {
		err = nil
	}
	if !r.o.Quiet {
		_ = output.WriteCorrelationSummary(r.t.Stderr, r.t.Style(r.t.Stderr), &counts)
		r.notes()
	}
	return errors.Join(err, r.problem, r.drops.problem)
}

// notes tells what makes the answers less than they seem.
func (r *correlation) notes() {
	if r.drops.lost > 0 {
		console.PrintMessage(r.t.Stderr, r.t.Style(r.t.Stderr), fmt.Sprintf("note: %d drops were lost while recording, so that a packet without a drop may have had one", r.drops.lost), nil)
	}
	if r.drops.noBytes > 0 {
		console.PrintMessage(r.t.Stderr, r.t.Style(r.t.Stderr), fmt.Sprintf("note: %d drops are recorded without their bytes, and were not looked for", r.drops.noBytes),
			[]string{"record with -w FILE.pcapng"})
	}
}

// nextFrame ends the capture where it is cut or damaged: what was read is told.
func (r *correlation) nextFrame(f *correlate.Frame) error {
	var p capture.Packet
	if err := r.frames.Read(&p); err != nil {
		if !errors.Is(err, io.EOF) {
			r.problem = fmt.Errorf("%s %w; the %d packets before were read", r.capture, err, r.frame)
		}
		return io.EOF
	}
	r.frame++
	f.Number, f.Time = r.frame, p.Time
	f.EtherType, f.Bytes = p.Network()
	return nil
}

func (r *correlation) result(res *correlate.Result) error {
	if r.onlyDropped && res.Status == correlate.NotSeen {
		return nil
	}
	if r.o.Limit > 0 && r.shown == r.o.Limit {
		return errEnough
	}
	r.shown++
	if err := r.out.Result(res); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// dropChain reads recordings one after the other, as rotation has made them.
type dropChain struct {
	t       console.Terminal
	files   []string
	filter  *filter.Filter
	in      io.Closer
	reader  *recording.Reader
	name    string
	record  recording.Record
	number  uint64
	lost    uint64
	noBytes uint64
	to      time.Time
	problem error // of a recording that could not be read to its end
}

// next opens the next file, io.EOF where there is none.
func (d *dropChain) next() error {
	d.close()
	if len(d.files) == 0 {
		return io.EOF
	}
	d.name, d.files = d.files[0], d.files[1:]
	in, err := console.OpenInput(d.name, d.t)
	if err != nil {
		return err
	}
	d.in = in
	if d.reader, err = recording.NewReader(in); err != nil {
		return console.Unreadable(d.name, err, 0)
	}
	return nil
}

func (d *dropChain) close() {
	if d.in != nil {
		d.in.Close()
		d.in = nil
	}
}

// ended returns when the last file's recording was ended, if it tells.
func (d *dropChain) ended() time.Time { return d.to }

func (d *dropChain) read(out *correlate.Drop) error {
	for {
		err := d.reader.Read(&d.record)
		d.lost += d.record.Lost
		d.record.Lost = 0
		if errors.Is(err, io.EOF) {
			if _, d.to = d.reader.Span(); len(d.files) > 0 {
				err = d.next()
				if err == nil {
					continue
				}
			}
			return err
		}
		if err != nil {
			d.problem = console.Unreadable(d.name, err, d.number)
			return io.EOF
		}
		d.number++
		c := &d.record.Capture
		if !drop.MatchDrop(d.filter, d.record.Drop, c.Device.Name) {
			continue
		}
		p := capture.Packet{Link: capture.LinkType(c.Link), Data: c.Data}
		*out = correlate.Drop{Number: d.number, Drop: d.record.Drop}
		if out.EtherType, out.Bytes = p.Network(); out.Bytes == nil {
			d.noBytes++
			continue
		}
		return nil
	}
}
