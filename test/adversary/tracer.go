package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// record is what is compared of droptrace's own.
type record struct {
	Type    string
	Cause   string
	Repeats uint64
	Packet  struct {
		Protocol        string
		DestinationPort *int `json:"destination_port"`
	}
	Rule *struct {
		Engine, Text string
	}
	Attribution struct{ Certainty, Method, Note string }
}

// port is that of a packet of ours, 0 of another.
func (r *record) port() int {
	if r.Type != "drop" || r.Packet.Protocol != "udp" || r.Packet.DestinationPort == nil {
		return 0
	}
	return *r.Packet.DestinationPort
}

// tracer is droptrace at work.
type tracer struct {
	cmd     *exec.Cmd
	records chan *record
	stderr  bytes.Buffer
	once    sync.Once
	done    chan struct{}
}

var errEnded = errors.New("droptrace ended")

func startTracer(ctx context.Context, o options, namespace string) (*tracer, error) {
	t := &tracer{records: make(chan *record, 1024), done: make(chan struct{})}
	t.cmd = exec.Command(o.droptrace, "--json", "--no-why", "--netns", namespace,
		"--probes", o.probes, "--buffer-size", "32M")
	t.cmd.Stderr = &t.stderr
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start droptrace: %w", err)
	}
	context.AfterFunc(ctx, func() { t.stop() })
	go func() {
		defer close(t.records)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			r := new(record)
			if json.Unmarshal(lines.Bytes(), r) != nil {
				continue
			}
			select {
			case t.records <- r:
			case <-t.done:
			}
		}
	}()
	return t, nil
}

// stop ends droptrace and returns what it said beside the records.
func (t *tracer) stop() string {
	t.once.Do(func() {
		close(t.done)
		_ = t.cmd.Process.Signal(syscall.SIGTERM)
		for range t.records { // until it has closed its output
		}
		_ = t.cmd.Wait()
	})
	return t.stderr.String()
}

func (t *tracer) next(ctx context.Context) (*record, error) {
	select {
	case r, ok := <-t.records:
		if ok {
			return r, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w: %s", errEnded, t.stop())
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// probeEvery is how often a single packet asks whether droptrace is ready.
const probeEvery = 100 * time.Millisecond

// warm waits until droptrace names the rules that were just loaded.
func (t *tracer) warm(ctx context.Context, l *lab) error {
	p := paths()[0]
	return t.ask(ctx, l, p.first, func(r *record) bool {
		return r.port() == p.first && r.Rule != nil && holds(r, p.first)
	})
}

// markPort is of no rule's, and no flood's.
const markPort = 5999

// drain judges what came before a last packet.
func (t *tracer) drain(ctx context.Context, l *lab, judge func(*record)) error {
	return t.ask(ctx, l, markPort, func(r *record) bool {
		judge(r)
		return r.port() == markPort
	})
}

// ask sends packets for a port until a record is what was waited for.
func (t *tracer) ask(ctx context.Context, l *lab, port int, answered func(*record) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	failed := make(chan error, 1)
	asking.Add(1)
	go func() {
		defer asking.Done()
		fd, err := socketIn(l.sender)
		if err != nil {
			failed <- err
			return
		}
		defer syscall.Close(fd)
		for ctx.Err() == nil {
			send(fd, receiverIP, port)
			select {
			case <-ctx.Done():
			case <-time.After(probeEvery):
			}
		}
	}()
	for {
		select {
		case err := <-failed:
			return err
		default:
		}
		r, err := t.next(ctx)
		if err != nil || answered(r) {
			return err
		}
	}
}
