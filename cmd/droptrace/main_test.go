package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/fake"
)

// TestMain gives scripts two commands: droptrace with a fake source that
// DROPTRACE_FAKE describes, and droptrace-real, which is main itself.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){
		"droptrace": func() {
			var f fake.Source
			if s := os.Getenv("DROPTRACE_FAKE"); s != "" {
				if err := json.Unmarshal([]byte(s), &f); err != nil {
					panic(err)
				}
			}
			t := console.SystemTerminal()
			t.Zone = time.UTC
			os.Exit(run(os.Args, t, f.Open))
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
