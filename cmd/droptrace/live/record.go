package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/outfile"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/cmd/droptrace/recording"
	"github.com/droptrace/droptrace/cmd/droptrace/source"
	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/tracer"
)

// errRecording ends a run whose recording has failed; the error itself comes
// from closing it.
var errRecording = errors.New("the recording has failed")

// defaultSnaplen holds every packet whole that the kernel can have in one piece.
const defaultSnaplen = 65535

// recordingFlags are tcpdump's, with its letters.
func recordingFlags() []cli.Flag {
	text := func(usage, name string, aliases ...string) cli.Flag {
		return &cli.StringFlag{Name: name, Aliases: aliases, Category: recordFlags, Usage: usage}
	}
	return []cli.Flag{
		text("`FILE` record to pcapng, or - for a pipe; print nothing", "write", "w"),
		&cli.BoolFlag{Name: "print", Category: recordFlags, Usage: "print as well"},
		text("`BYTES` of each packet at most: 65535", "snaplen", "s"),
		text("`SIZE` a new file past so many million bytes, or 64K, 1G", "rotate-size", "C"),
		text("`SECONDS` a new file after so long; FILE has %H%M%S", "rotate-seconds", "G"),
		text("`N` with -C: keep so many files; with -G: end after N", "rotate-files", "W"),
	}
}

// recordOptions are what these flags say.
type recordOptions struct {
	Name     string // "" for no recording
	print    bool
	snaplen  int
	rotation recording.Rotation
}

func readRecordOptions(c *cli.Context) (o recordOptions, err error) {
	o.Name, o.print = c.String("write"), c.Bool("print")
	if c.IsSet("write") && o.Name == "" {
		return o, console.BadUsage(errors.New("--write has an empty value"), "give the name of a file, or - for a pipe")
	}
	if o.Name == "" {
		for _, name := range []string{"print", "snaplen", "rotate-size", "rotate-seconds", "rotate-files"} {
			if c.IsSet(name) {
				return o, console.BadUsage(fmt.Errorf("%s is about a recording", console.Dashed(name)), "say where with -w FILE")
			}
		}
		return o, nil
	}
	if o.Name == "-" && o.print {
		return o, console.BadUsage(errors.New("--print and -w - both want standard output"), "give a file to -w")
	}
	if o.snaplen, err = readSnaplen(c); err != nil {
		return o, err
	}
	o.rotation, err = readRotation(c, o.Name)
	return o, err
}

// readSnaplen takes 0 for the default, as tcpdump does.
func readSnaplen(c *cli.Context) (int, error) {
	if !c.IsSet("snaplen") {
		return defaultSnaplen, nil
	}
	v := c.String("snaplen")
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n > tracer.MaxSnaplen {
		return 0, console.BadUsage(fmt.Errorf("--snaplen %q is no length", v), fmt.Sprintf("want 0 to %d bytes", tracer.MaxSnaplen))
	}
	if n == 0 {
		return defaultSnaplen, nil
	}
	return int(n), nil
}

func readRotation(c *cli.Context, name string) (r recording.Rotation, err error) {
	if v := c.String("rotate-size"); c.IsSet("rotate-size") {
		if r.Size, err = readFileSize(v); err != nil {
			return r, err
		}
	}
	if v := c.String("rotate-seconds"); c.IsSet("rotate-seconds") {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil || n == 0 {
			return r, console.BadUsage(fmt.Errorf("-G %q is no number of seconds", v), "want 1 or more")
		}
		r.Every = time.Duration(n) * time.Second
		if err := recording.CheckPattern(name); err != nil {
			return r, console.BadUsage(fmt.Errorf("-w %w", err))
		}
	}
	if v := c.String("rotate-files"); c.IsSet("rotate-files") {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil || n == 0 {
			return r, console.BadUsage(fmt.Errorf("-W %q is no number of files", v), "want 1 or more")
		}
		r.Files = int(n)
		if r.Size == 0 && r.Every == 0 {
			return r, console.BadUsage(errors.New("-W says how many files, but not when another begins"), "give -C or -G too")
		}
	}
	if name == "-" && r != (recording.Rotation{}) {
		return r, console.BadUsage(errors.New("a pipe is one file"), "give the name of a file to -w")
	}
	return r, nil
}

// readFileSize reads -C: millions of bytes, or binary units with a letter.
func readFileSize(v string) (int64, error) {
	number, unit := v, int64(1_000_000)
	if v != "" {
		if i := strings.IndexByte("KMG", v[len(v)-1]&^0x20); i >= 0 {
			number, unit = v[:len(v)-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n == 0 {
		return 0, console.BadUsage(fmt.Errorf("-C %q is no size of a file", v), "want millions of bytes, or 64K, 1M, 1G")
	}
	return int64(n) * unit, nil
}

// Recorder is the recording of a session. A nil recorder records nothing.
type Recorder struct {
	o     recordOptions
	W     *recording.Writer
	begun bool
	ended bool // it takes no more
	count uint64
}

// newRecorder opens the file before anything is traced. It still holds what it held,
// until Begin. Nothing of reading is written to.
func NewRecorder(ctx context.Context, o recordOptions, t console.Terminal, reading ...os.FileInfo) (*Recorder, error) {
	if o.Name == "" {
		return nil, nil
	}
	if _, ok := console.Width(t.Stdout); ok && o.Name == "-" {
		return nil, console.BadUsage(errors.New("standard output is a terminal, and a recording is not for reading"), "give a file to -w, or a pipe: | wireshark -k -i -")
	}
	r := &Recorder{o: o}
	w, err := recording.Open(ctx, o.Name, recording.Options{
		Encoder:  recording.Encoder{Application: "droptrace " + console.Version(), OS: kernelRelease(), Snaplen: uint32(o.snaplen)},
		Rotation: o.rotation,
		Stdout:   t.Stdout,
		Reading:  reading,
	})
	if err != nil {
		return nil, recordFailed(err)
	}
	r.W = w
	return r, nil
}

// recordFailed adds what to do.
func recordFailed(err error) error {
	hints := []string{}
	switch {
	case errors.Is(err, recording.ErrRead):
		return console.BadUsage(fmt.Errorf("record: %w", err), "give another name to -w")
	case errors.Is(err, outfile.ErrLink), errors.Is(err, outfile.ErrOwner):
		hints = append(hints, "give a new name to -w, or one in a directory of your own")
	}
	return console.WithHint(fmt.Errorf("record: %w", err), hints...)
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "Linux"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}

// Begin replaces what the file held. From now on what it holds is worth keeping.
func (r *Recorder) Begin(ctx context.Context) error {
	if r == nil || r.begun {
		return nil
	}
	r.begun = true
	if err := r.W.Begin(ctx); err != nil {
		return recordFailed(err)
	}
	return nil
}

// start begins it for a source, whose losses it tells.
func (r *Recorder) start(ctx context.Context, src source.Source) error {
	if r == nil {
		return nil
	}
	r.W.CountLosses(func() uint64 { return src.Stats().Lost })
	return r.Begin(ctx)
}

// put records one drop, unless the recording has ended: it ends the session then.
func (r *Recorder) put(s *session, d *drop.Drop) {
	if r == nil || r.ended {
		return
	}
	if r.ended = s.o.Limit > 0 && r.count >= s.o.Limit; r.ended {
		s.cancel(console.ErrLimit)
		return
	}
	err := r.W.Write(d, s.src.Capture())
	r.ended = err != nil
	switch {
	case errors.Is(err, recording.ErrFiles):
		s.cancel(console.ErrLimit)
	case errors.Is(err, syscall.EPIPE): // as with head
		s.cancel(err)
	case err != nil:
		s.cancel(errRecording) // close tells it
	default:
		if r.count++; r.count == s.o.Limit {
			s.cancel(console.ErrLimit)
		}
	}
}

// Silent reports whether drops are recorded and not printed.
func (r *Recorder) Silent() bool { return r != nil && !r.o.print }

func (r *Recorder) Failed() bool { return r != nil && r.W.Failed() != nil }

// Summary is what became of so many drops.
func (r *Recorder) Summary(received uint64) *output.Recording {
	if r == nil {
		return nil
	}
	drops, stood, files := r.W.Written()
	return &output.Recording{
		Name: r.o.Name, Files: files, Drops: drops, Stood: stood,
		Unwritten: received - min(stood, received), Printed: r.o.print,
	}
}

// Close ends the recording with the counters of the run.
func (r *Recorder) Close(counts drop.Counts) error {
	if r == nil {
		return nil
	}
	if !r.begun {
		return r.abandon()
	}
	err := r.W.Close(counts)
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// abandon is for a run that never began: nothing was recorded, and an empty file
// would be taken for a quiet hour.
func (r *Recorder) abandon() error {
	if r == nil || r.begun {
		return nil
	}
	return r.W.Discard()
}
