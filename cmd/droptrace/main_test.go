package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/resolve/drop"
)

// TestMain gives scripts two commands: droptrace with a fake source that
// DROPTRACE_FAKE describes, and droptrace-real, which is main itself.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){
		"droptrace": func() {
			var f fake
			if s := os.Getenv("DROPTRACE_FAKE"); s != "" {
				if err := json.Unmarshal([]byte(s), &f); err != nil {
					panic(err)
				}
			}
			t := systemTerminal()
			t.zone = time.UTC
			os.Exit(run(os.Args, t, f.open))
		},
		"droptrace-real": main,
	})
}

// leakChecked fails a run that leaves a goroutine behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	defer defaultSignals()()
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return code
}

// defaultSignals lets the scripts' programs start with signals as they are by
// default, also where this one was started with some ignored (nohup, a script's
// background): those that a Go program catches its children do not inherit.
func defaultSignals() (restore func()) {
	caught := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(caught, s)
		}
	}
	return func() { signal.Stop(caught) }
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Getuid() == 0, nil
			}
			if name == "kprobes" {
				_, err := os.Stat("/sys/bus/event_source/devices/kprobe")
				return err == nil, nil
			}
			return false, errors.New("unknown condition " + name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// waitfor FILE waits until a background command has made FILE.
			"waitfor": func(ts *testscript.TestScript, neg bool, args []string) {
				for end := time.Now().Add(time.Minute); time.Now().Before(end); {
					if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				ts.Fatalf("%s never came", args[0])
			},
		},
	})
}

// fake is a source whose drops, losses and failures are given.
type fake struct {
	Drops     int           // handed out at once
	Late      int           // handed out after the end, as if drained
	Every     time.Duration // between drops
	Flows     int           // the drops are of so many flows in turn
	Lost      uint64
	Filtered  uint64
	Arrived   uint64
	End       bool   // the source ends by itself after its drops
	OpenError string // open fails
	Opening   string // a file made by open, which then waits for the end
	Usage     bool   // and the command line is to blame
	Hints     []string
	Error     string // Next fails after the drops
	CloseFail string
	Notice    string
	Hides     []string
	Ready     string // a file made once the drops were handed out
	Config    string // a file to write the Config to
	Filler    int    // bytes of text in the rule, to fill pipes

	mu   sync.Mutex
	sent int
	lost *drop.Drop

	next drop.Drop // overwritten with each Next, as the tracer does
}

func (f *fake) open(ctx context.Context, cfg Config) (source, error) {
	if f.Opening != "" {
		if err := os.WriteFile(f.Opening, nil, 0o600); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f.Notice != "" {
		cfg.Notify(output.Notice{Time: time.Unix(0, 0).UTC(), Message: f.Notice})
	}
	if f.Config != "" {
		cfg.Notify = nil
		b, err := json.Marshal(struct {
			Filter
			Expression string `json:",omitempty"`
		}{cfg.Filter, cfg.Expression})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(f.Config, append(b, '\n'), 0o600); err != nil {
			return nil, err
		}
	}
	if f.OpenError != "" {
		if f.Usage {
			return nil, badUsage(errors.New(f.OpenError), f.Hints...)
		}
		return nil, errorWithHint(errors.New(f.OpenError), f.Hints...)
	}
	return f, nil
}

func (f *fake) drop(i int) *drop.Drop {
	port, sport := uint16(80), uint16(40000+i%max(f.Flows, 1))
	length := 0
	return &drop.Drop{
		Type: "drop", Schema: drop.Schema, Time: time.Unix(1700000000, int64(i)*1000).UTC(),
		Packet: drop.Packet{
			Family: "ip", Protocol: "tcp", Source: netip.MustParseAddr("203.0.113.9"), SourcePort: &sport,
			Destination: netip.MustParseAddr("10.0.0.2"), DestinationPort: &port,
			TCPFlags: []string{"syn"}, TCP: &drop.TCP{Seq: uint32(i), Window: 64240}, PayloadLength: &length,
		},
		Netns: drop.Netns{Inode: 4026531840, Own: true},
		Hook:  "input", In: &drop.Interface{Index: 2, Name: "eth0"},
		Verdict: "drop", Cause: "rule", Reason: "NETFILTER_DROP",
		Rule: &drop.Rule{
			Engine: "iptables-nft", Family: "ip", Table: "filter", Chain: "INPUT", Handle: 12, Number: 7,
			Text: "-A INPUT -p tcp --dport 80 -j DROP" + strings.Repeat("x", f.Filler),
		},
		Attribution: drop.Attribution{Certainty: drop.Certain},
	}
}

func (f *fake) Next(ctx context.Context) (*drop.Drop, error) {
	f.mu.Lock()
	i := f.sent
	f.mu.Unlock()
	if i >= f.Drops {
		if f.Ready != "" && i == f.Drops {
			if err := os.WriteFile(f.Ready, nil, 0o600); err != nil {
				return nil, err
			}
		}
		if f.Error != "" {
			return nil, errors.New(f.Error)
		}
		if !f.End {
			<-ctx.Done()
		}
	}
	if f.Every > 0 {
		select {
		case <-time.After(f.Every):
		case <-ctx.Done():
			return nil, io.EOF
		}
	}
	if i >= f.Drops+f.Late || ctx.Err() != nil && i < f.Drops {
		return nil, io.EOF
	}
	f.mu.Lock()
	f.sent++
	f.mu.Unlock()
	f.next = *f.drop(i)
	return &f.next, nil
}

func (f *fake) Capture() *drop.Capture { return nil }

func (f *fake) Stats() output.Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint64(f.sent)
	return output.Counts{Seen: n + f.Lost + f.Filtered, FilteredKernel: f.Filtered, Lost: f.Lost, Delivered: n}
}

func (f *fake) Losses() output.Lost {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Lost == 0 {
		return output.Lost{}
	}
	if f.lost == nil {
		f.lost = f.drop(0)
	}
	return output.Lost{Places: []output.LostPlace{{Drop: f.lost, Count: f.Lost}}}
}

func (f *fake) Arrivals() *output.Arrivals {
	if f.Arrived == 0 {
		return nil
	}
	return &output.Arrivals{Arrived: f.Arrived, Interfaces: []output.ArrivalPlace{{Index: 2, Name: "eth0", Arrived: f.Arrived}}}
}
func (f *fake) Beside() []string { return nil }
func (f *fake) About() string    { return "Linux 6.12, fake" }
func (f *fake) Hidden() []string { return f.Hides }

func (f *fake) Close() error {
	if f.CloseFail != "" {
		return errors.New(f.CloseFail)
	}
	return nil
}
