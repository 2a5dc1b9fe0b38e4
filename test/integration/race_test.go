package integration

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
	"golang.org/x/sys/unix"
)

// sendTCP sends a bare TCP header with these flags.
func sendTCP(t *testing.T, ns, from, to string, sport, dport uint16, flags byte) {
	t.Helper()
	within(t, ns, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, dst := address(to, 0)
		return unix.Sendto(fd, tcpHeader(from, to, sport, dport, flags), 0, dst)
	})
}

func tcpHeader(from, to string, sport, dport uint16, flags byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint32(b[4:], 1000)
	b[12], b[13] = 5<<4, flags
	binary.BigEndian.PutUint16(b[14:], 64240)
	_, src := address(from, 0)
	_, dst := address(to, 0)
	binary.BigEndian.PutUint16(b[16:], tcpChecksum(src, dst, b))
	return b
}

// race calls send from two threads at the same moment, again and again with
// another number, until done.
func race(t *testing.T, ns string, send func(round uint16) error, done func() bool) {
	t.Helper()
	var arrived, round atomic.Uint32
	stop := make(chan struct{})
	result := make(chan error, 2)
	for range 2 {
		go func() {
			result <- nstest.Within(ns, func() error {
				for n := uint32(1); ; n++ {
					arrived.Add(1)
					for arrived.Load() < 2*n {
						select {
						case <-stop:
							return nil
						default:
						}
					}
					if err := send(uint16(n)); err != nil {
						return err
					}
					round.Store(n)
				}
			})
		}()
	}
	func() {
		defer close(stop) // also where they never meet
		eventually(t, "two packets of a flow met", done)
	}()
	for range 2 {
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rounds", round.Load())
}

// pour calls send from a thread inside, with another number each time, until
// the function that it returns is called.
func pour(t *testing.T, ns string, send func(n uint16) error) (stop func()) {
	t.Helper()
	var stopped atomic.Bool
	result := make(chan error)
	go func() {
		result <- nstest.Within(ns, func() error {
			for n := uint16(0); !stopped.Load(); n++ {
				if err := send(n); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	return func() {
		stopped.Store(true)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	}
}

// tcpChecksum is RFC 9293's, over the pseudo header of IPv4.
func tcpChecksum(src, dst unix.Sockaddr, b []byte) uint16 {
	s, d := src.(*unix.SockaddrInet4).Addr, dst.(*unix.SockaddrInet4).Addr
	pseudo := append(append(s[:], d[:]...), 0, unix.IPPROTO_TCP, 0, byte(len(b)))
	var sum uint32
	for _, part := range [][]byte{pseudo, b} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// sharedSockets are UDP sockets that two threads use at once, one a round.
type sharedSockets struct {
	mu   sync.Mutex
	fds  map[uint16]int
	done map[uint16]int
}

func (s *sharedSockets) open(round uint16) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fd, ok := s.fds[round]; ok {
		return fd, nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 1024 + int(round)%60000}); err != nil {
		return 0, err
	}
	if s.fds == nil {
		s.fds, s.done = make(map[uint16]int), make(map[uint16]int)
	}
	s.fds[round] = fd
	return fd, nil
}

// close closes the socket when both have come this far.
func (s *sharedSockets) close(round uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done[round]++; s.done[round] == 2 {
		unix.Close(s.fds[round])
		delete(s.fds, round)
		delete(s.done, round)
	}
}
