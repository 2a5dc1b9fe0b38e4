package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// key finds the record of a packet. Ids repeat only after the records of the
// round before were cleared.
type key struct {
	id    uint16
	v6    bool
	reply bool
}

// tracer is a running droptrace.
type tracer struct {
	cmd *exec.Cmd

	mu      sync.Mutex
	records map[key][]drop.Drop
	other   []string // notices and losses
	last    time.Time
	stderr  strings.Builder
}

func startTracer(program, netns, probes string) (*tracer, error) {
	t := &tracer{records: map[key][]drop.Drop{}}
	t.cmd = exec.Command(program, "--json", "--netns", netns, "--probes", probes)
	t.cmd.Stderr = &t.stderr
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start droptrace: %w", err)
	}
	go t.read(bufio.NewReaderSize(out, 1<<20))
	return t, nil
}

func (t *tracer) read(r *bufio.Reader) {
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		var d drop.Drop
		err = json.Unmarshal(line, &d)
		t.mu.Lock()
		t.last = time.Now()
		if k, ok := keyOf(&d.Packet); err == nil && d.Type == "drop" && ok {
			t.records[k] = append(t.records[k], d)
		} else if len(t.other) < 1000 {
			t.other = append(t.other, string(line))
		}
		t.mu.Unlock()
	}
}

// keyOf tells packets from the replies that they caused.
func keyOf(p *drop.Packet) (key, bool) {
	v6 := p.Family == "ip6"
	if p.Inner != nil {
		k, ok := keyOf(p.Inner)
		k.reply = true
		return k, ok
	}
	switch {
	case p.ICMPID != nil && p.ICMPType != nil:
		// Echo replies of the client go to the router or the server.
		fromRouter := p.Source == addr(v6, 1, 1)
		reply := (*p.ICMPType == 0 || *p.ICMPType == 129) && fromRouter && p.ICMPSeq != nil && *p.ICMPSeq != 1+uint16(output)
		return key{*p.ICMPID, v6, reply}, true
	case p.SourcePort != nil && p.DestinationPort != nil:
		if *p.DestinationPort < firstID {
			return key{*p.SourcePort, v6, false}, true
		}
		return key{*p.DestinationPort, v6, true}, true
	}
	return key{}, false
}

// firstID is above every port that rules know.
const firstID = 2000

func (t *tracer) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.records)
}

func (t *tracer) find(k key) []drop.Drop {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.records[k]
}

// settle waits until the records of all keys are here, at most for a time.
func (t *tracer) settle(keys []key, limit time.Duration) {
	for deadline := time.Now().Add(limit); len(keys) > 0 && time.Now().Before(deadline); {
		if len(t.find(keys[0])) > 0 {
			keys = keys[1:]
			continue
		}
		time.Sleep(time.Millisecond)
	}
}

func (t *tracer) stop() string {
	t.cmd.Process.Signal(os.Interrupt)
	done := make(chan error, 1)
	go func() { done <- t.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.cmd.Process.Kill()
		<-done
	}
	return t.stderr.String()
}
