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

// Bursts and pauses leave droptrace the time to write a record for each packet.
const (
	burst       = 60
	pause       = 30 * time.Millisecond
	fifoPause   = 3 * time.Millisecond
	fifoLow     = 40 // priorities of SCHED_FIFO
	fifoMover   = 60
	moveBetween = 200 * time.Microsecond
)

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
			s.start(p, burst, pause, func() error {
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
			s.start(p, 1, fifoPause, func() error { return becomeRealtime(cpu, fifoLow+cpu%2) })
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
func (s *senders) start(p path, burst int, pause time.Duration, prepare func() error) {
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
			for range burst {
				send(fd, to, p.first+rand.IntN(ports))
			}
			time.Sleep(pause)
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
		s.mu.Lock()
		for _, tid := range s.threads {
			var set unix.CPUSet
			set.Set(rand.IntN(runtime.NumCPU()))
			_ = unix.SchedSetaffinity(tid, &set) // it may be at its end
		}
		s.mu.Unlock()
		time.Sleep(moveBetween + rand.N(3*moveBetween))
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
