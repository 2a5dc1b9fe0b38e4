package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// engineRun tests one engine with one droptrace.
type engineRun struct {
	options
	engine string
	k      *kernel
	j      *judge
	g      *generator
	r      *rand.Rand
	t      *tracer
	// replays is what evaluates the packets that were measured.
	replays *replayer
	id      uint16
}

func newRun(o options, engine string, k *kernel, j *judge) *engineRun {
	r := rand.New(rand.NewPCG(o.seed, uint64(len(engine))))
	return &engineRun{options: o, engine: engine, k: k, j: j, r: r, g: &generator{r: r, engine: engine, wide: o.replay}, id: firstID}
}

// shot is a packet that was sent and what became of it.
type shot struct {
	set  *ruleset
	spec spec
	id   uint16
	truth
}

func (e *engineRun) nextID() uint16 {
	if e.id++; e.id > 60000 {
		e.id = firstID
	}
	return e.id
}

func (e *engineRun) drops() (n int) {
	for _, t := range e.j.rows {
		if t.Engine == e.engine {
			n += t.N
		}
	}
	return n
}

func (e *engineRun) run(deadline time.Time) error {
	e.k.clear(e.engine)
	defer e.k.clear(e.engine)
	if e.replay {
		return e.replayOnly(deadline)
	}
	var err error
	if e.t, err = startTracer(e.droptrace, e.k.lab.names[1], e.probes); err != nil {
		return err
	}
	defer func() {
		if said := strings.TrimSpace(e.t.stop()); said != "" {
			fmt.Printf("droptrace said (%s):\n%s\n", e.engine, said)
		}
		for _, o := range e.t.other[:min(len(e.t.other), 5)] {
			fmt.Printf("droptrace noted: %s", o)
		}
	}()
	if err := e.awaken(); err != nil {
		return err
	}
	var last *measured
	for time.Now().Before(deadline) && e.drops() < e.n {
		m, err := e.round()
		if err != nil {
			return err
		}
		if last != nil && e.r.IntN(3) == 0 {
			if err := e.reload(last, m); err != nil {
				return err
			}
		}
		last = m
	}
	return nil
}

// awaken waits until droptrace tells the first drop.
func (e *engineRun) awaken() error {
	c := &chain{Name: "INPUT", Hook: "input", Policy: "drop"}
	s := &ruleset{Engine: e.engine, Tables: []*table{{Family: "ip", Name: "filter", Chains: []*chain{c}}}}
	if err := e.k.load(s); err != nil {
		return err
	}
	for range 300 {
		id := e.nextID()
		e.k.lab.send(spec{Proto: unix.IPPROTO_UDP, Dport: firstPort, Payload: 8}, id)
		time.Sleep(100 * time.Millisecond)
		if len(e.t.find(key{id: id})) > 0 {
			e.k.clear(e.engine)
			return nil
		}
	}
	return errors.New("droptrace told no drop in 30 seconds")
}

// measured is a ruleset with packets whose fate is known.
type measured struct {
	set   *ruleset
	shots []shot
}

// fresh loads a ruleset of its own. Matches that its program does not take
// together are drawn again.
func (e *engineRun) fresh() (s *ruleset, err error) {
	for range 10 {
		s = e.g.ruleset()
		if err = e.k.load(s); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// round measures a ruleset, packet by packet, and then sends the packets fast.
func (e *engineRun) round() (*measured, error) {
	s, err := e.fresh()
	if err != nil {
		return nil, err
	}
	if err := e.k.tap(s); err != nil {
		return nil, err
	}
	if e.engine == "iptables-legacy" {
		time.Sleep(e.settle)
	}
	e.t.clear()
	m, err := e.measure(s)
	if err != nil || len(m.shots) == 0 {
		return m, err
	}
	e.judge("alone", m.shots, true)
	if err := e.k.untap(s); err != nil {
		return nil, err
	}
	e.burst("burst", m, 1)
	e.burst("two-cpus", m, 2)
	return m, nil
}

// replayOnly measures rulesets and has them replayed, without droptrace.
func (e *engineRun) replayOnly(deadline time.Time) error {
	for time.Now().Before(deadline) && e.replays.row(e.engine).N < e.n {
		s, err := e.fresh()
		if err != nil {
			return err
		}
		if err := e.k.tap(s); err != nil {
			return err
		}
		if _, err := e.measure(s); err != nil {
			return err
		}
		if err := e.k.untap(s); err != nil {
			return err
		}
	}
	return nil
}

// measure sends packets one by one, asks the counters, and replays them.
func (e *engineRun) measure(s *ruleset) (*measured, error) {
	e.k.forget()
	if err := e.replays.read(); err != nil {
		return nil, fmt.Errorf("read the ruleset: %w", err)
	}
	m := &measured{set: s}
	for range 40 {
		p := randomSpec(e.r)
		if e.r.IntN(3) == 0 {
			p.forPlant(e.r.IntN(plants))
		}
		if e.replay {
			p.Options, p.TTL, p.TOS = e.r.IntN(4) == 0, []uint8{64, 63, 70, 2}[e.r.IntN(4)], uint8(e.r.IntN(3)*4)
		}
		x := shot{set: s, spec: p, id: e.nextID()}
		var err error
		if x.truth, err = e.k.measure(s, p, x.id); err != nil {
			return nil, err
		}
		y := shot{set: s, spec: p, id: e.nextID()}
		if y.truth, err = e.k.measure(s, p, y.id); err != nil {
			return nil, err
		}
		if x.same(y.truth) {
			m.shots = append(m.shots, x)
		}
	}
	e.replays.check(s, m.shots)
	return m, nil
}

// burst sends the packets in random order, from one or two CPUs.
func (e *engineRun) burst(phase string, m *measured, cpus int) {
	e.k.forget()
	var shots []shot
	for range 2 {
		for _, i := range e.r.Perm(len(m.shots)) {
			x := m.shots[i]
			x.id = e.nextID()
			shots = append(shots, x)
		}
	}
	var wg sync.WaitGroup
	for c := range cpus {
		wg.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its affinity
			var set unix.CPUSet
			set.Set(c % runtime.NumCPU())
			unix.SchedSetaffinity(0, &set)
			for i := c; i < len(shots); i += cpus {
				e.k.lab.send(shots[i].spec, shots[i].id)
			}
		})
	}
	wg.Wait()
	e.judge(phase, shots, true)
}

// reload changes rulesets under the drops.
func (e *engineRun) reload(a, b *measured) error {
	e.k.forget()
	var shots []shot
	for range 6 {
		for _, m := range []*measured{a, b} {
			if len(m.shots) == 0 {
				return nil
			}
			if err := e.k.load(m.set); err != nil {
				return err
			}
			for range 1 + e.r.IntN(4) {
				x := m.shots[e.r.IntN(len(m.shots))]
				x.id = e.nextID()
				e.k.lab.send(x.spec, x.id)
				shots = append(shots, x)
			}
		}
	}
	e.judge("reload", shots, false)
	return nil
}

// judge waits for the records and compares them.
func (e *engineRun) judge(phase string, shots []shot, handles bool) {
	var want []key
	for _, x := range shots {
		if x.orig != nil {
			want = append(want, key{x.id, x.spec.V6, false})
		}
	}
	e.t.settle(want, 15*time.Second)
	for _, x := range shots {
		k := key{x.id, x.spec.V6, false}
		e.j.compare(x.set, phase, x.spec.Path.String(), x.spec, x.orig, e.t.find(k), handles)
		k.reply = true
		// Replies are rationed by the kernel: one that is not here was not sent.
		if r := e.t.find(k); len(r) > 0 && x.reply != nil {
			e.j.compare(x.set, phase, "replies", x.spec, x.reply, r, handles)
		}
	}
}
