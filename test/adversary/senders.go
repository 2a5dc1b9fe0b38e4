package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// All packets have one length, so that each counter fits each packet.
const payload = 10

// Pauses leave droptrace the time to write a record for each packet, and a slow
// machine the time for anything but real-time threads: they are as many times as long
// as what was done before, or longer.
const (
	burst, pause, idle             = 60, 30 * time.Millisecond, 4
	fifoBurst, fifoPause, fifoIdle = 1, 3 * time.Millisecond, 30
	moveBetween, moveIdle          = 200 * time.Microsecond, 4
	// Priorities of SCHED_FIFO.
	fifoLow, fifoMover = 40, 60
)

// rest ends a round that began at that time.
func rest(begin time.Time, atLeast time.Duration, times int) {
	time.Sleep(max(time.Since(begin)*time.Duration(times), atLeast+rand.N(atLeast)))
}

// senders are the threads of one flood.
type senders struct {
	l       *lab
	stopped atomic.Bool
	once    sync.Once
	wg      sync.WaitGroup
	mu      sync.Mutex
	threads []int // that are moved
}

func startSenders(o options, l *lab) *senders {
	s := &senders{l: l}
	for _, p := range paths() {
		for range o.threads {
			s.start(p, burst, idle, pause, func() error {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.threads = append(s.threads, unix.Gettid())
				return nil
			})
		}
		if !o.fifo {
			continue
		}
		for cpu := range runtime.NumCPU() {
			s.start(p, fifoBurst, fifoIdle, fifoPause, func() error { return becomeRealtime(cpu, fifoLow+cpu%2) })
		}
	}
	if o.migrate {
		s.wg.Add(1)
		go s.move()
	}
	return s
}

func (s *senders) stop() {
	s.once.Do(func() {
		s.stopped.Store(true)
		s.wg.Wait()
	})
}

// start sends from a thread of its own, which prepare makes what it is to be.
func (s *senders) start(p path, burst, idle int, pause time.Duration, prepare func() error) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		from, to := s.l.sender, receiverIP
		if p.sends {
			from, to = s.l.receiver, senderIP
		}
		fd, err := socketIn(from)
		if err == nil {
			defer unix.Close(fd)
			err = prepare()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "adversary: a sender did not start:", err)
			return
		}
		for !s.stopped.Load() {
			begin := time.Now()
			for range burst {
				send(fd, to, p.first+rand.IntN(ports))
			}
			rest(begin, pause, idle)
		}
	}()
}

// move takes senders to another CPU, in the middle of what they do.
func (s *senders) move() {
	defer s.wg.Done()
	runtime.LockOSThread()
	if err := becomeRealtime(-1, fifoMover); err != nil {
		fmt.Fprintln(os.Stderr, "adversary: senders are moved less often:", err)
	}
	for !s.stopped.Load() {
		begin := time.Now()
		s.mu.Lock()
		for _, tid := range s.threads {
			var set unix.CPUSet
			set.Set(rand.IntN(runtime.NumCPU()))
			_ = unix.SchedSetaffinity(tid, &set) // it may be at its end
		}
		s.mu.Unlock()
		rest(begin, moveBetween, moveIdle)
	}
}

// becomeRealtime gives the thread, which ends with its goroutine, SCHED_FIFO and a
// CPU, unless that is below 0.
func becomeRealtime(cpu, priority int) error {
	if cpu >= 0 {
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("keep to CPU %d: %w", cpu, err)
		}
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: uint32(priority)}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("become a real-time thread: %w", err)
	}
	return nil
}

// socketIn takes the goroutine's thread into a namespace and opens a socket there.
func socketIn(namespace string) (int, error) {
	if err := enter(namespace); err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	return fd, nil
}

// send sends what is to be dropped: EPERM is how its sender is told.
func send(fd int, to [4]byte, port int) {
	_ = unix.Sendto(fd, make([]byte, payload), 0, &unix.SockaddrInet4{Port: port, Addr: to})
}
