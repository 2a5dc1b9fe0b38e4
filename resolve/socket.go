package resolve

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/host/machine"
	"github.com/droptrace/droptrace/tracer/event"
)

const (
	// holdersLive is how long it holds who has a socket open: a program may hand it
	// on, or end.
	holdersLive = 2 * time.Second
	// holdersTime bounds one search of all processes, and holdersHold how long a drop
	// waits for it.
	holdersTime = 5 * time.Second
	holdersHold = 2 * time.Second
	// maxHolders bounds the sockets that are remembered, maxSearched those of one search.
	maxHolders  = 4096
	maxSearched = 256
)

// holders are the processes that have sockets open, as last looked for.
type holders struct {
	known  map[uint64]held // by inode
	search *holderSearch   // nil where none is under way
	next   time.Time       // none looks before: they take a fifth of the time at most
	// machine has no rules: it is what searches are said to be of.
	machine namespace
}

type held struct {
	machine.Held
	whole bool // nobody else has it open
	at    time.Time
}

// all returns the holders, where they are all: nobody was hidden, or the socket's file
// has no more references than they have descriptors.
func (h *held) all(references uint32) []drop.Process {
	if h.whole || h.Descriptors == int(references) {
		return h.By
	}
	return nil
}

// holderSearch looks for all sockets that are asked for until it begins.
type holderSearch struct {
	*task
	mu      sync.Mutex
	begun   bool
	sockets []uint64
	found   map[uint64]machine.Held
	whole   bool
	cost    time.Duration
}

// add has the search look for the socket, too, unless it has begun.
func (s *holderSearch) add(inode uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun && len(s.sockets) < maxSearched && !slices.Contains(s.sockets, inode) {
		s.sockets = append(s.sockets, inode)
	}
}

// run waits for its time, and looks. What it does not find stays unknown.
func (s *holderSearch) run(ctx context.Context, begin time.Time) {
	timer := time.NewTimer(time.Until(begin))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	s.mu.Lock()
	s.begun = true
	s.mu.Unlock()
	looked := time.Now()
	s.found, s.whole, _ = machine.Holders(ctx, s.sockets)
	s.cost = time.Since(looked)
}

// resolveSocket fills in the packet's socket, and the process that sent it. That is
// one that was in a call on the very socket, or else the only one that has it open.
func (r *Resolver) resolveSocket(e *event.Event, d *drop.Drop) {
	role := r.socketRole(e, d)
	if role == "" {
		return
	}
	s := &drop.Socket{Role: role, UID: e.Socket.UID}
	d.Socket = s
	if e.Flags&event.InCall != 0 && role == drop.Sender {
		d.Process = &drop.Process{PID: int(e.PID), Command: event.Text(e.Comm[:])}
		return
	}
	if e.Socket.Inode == 0 {
		return
	}
	s.Processes = r.holdersOf(&e.Socket)
	if role == drop.Sender && len(s.Processes) == 1 {
		d.Process = &s.Processes[0]
		s.Processes = nil
	}
}

// socketRole says whether the socket sent the packet or is to receive it. Packets
// that are sent keep their socket until a device has them, and over a veth device
// beyond; those that are received may get theirs before routing. Either has its own
// function for giving the socket back.
func (r *Resolver) socketRole(e *event.Event, d *drop.Drop) string {
	switch e.Socket.Kind {
	case event.SocketNone:
		return ""
	case event.SocketReceives:
		return drop.Receiver
	}
	switch d.Hook {
	case "output", "postrouting":
		return drop.Sender
	}
	function, _ := r.Symbols.Entry(e.Socket.Destructor)
	switch function {
	case "sock_wfree", "__sock_wfree", "tcp_wfree": // skb_set_owner_w, __tcp_transmit_skb
		return drop.Sender
	case "sock_rfree", "sock_pfree": // skb_set_owner_r, skb_sk_assign
		return drop.Receiver
	case "sock_edemux", "sock_efree": // early demux; answers of a connection in the making, too
		if e.Socket.Kind == event.SocketOfPacket || d.Hook == "input" {
			return drop.Receiver
		}
	}
	return ""
}

// holdersOf returns all processes that have the socket open; none where they are not
// known, or are still being looked for: the drop is then to be tried again.
func (r *Resolver) holdersOf(s *event.SocketInfo) []drop.Process {
	h := &r.holders
	for range 2 { // the search under way, and then one for this socket
		if known, ok := h.known[s.Inode]; ok && time.Since(known.at) < holdersLive {
			return known.all(s.References)
		}
		if h.search == nil {
			r.startHolders()
		}
		h.search.add(s.Inode)
		if !r.await(h.search.task, holdersHold) {
			return nil
		}
		h.take()
	}
	known := h.known[s.Inode]
	return known.all(s.References)
}

func (r *Resolver) startHolders() {
	s, begin := &holderSearch{}, r.holders.next
	r.holders.machine.info.Own = true // it takes no place from readings of namespaces
	s.task = r.start(&r.holders.machine, holdersTime, nil, func(ctx context.Context) { s.run(ctx, begin) })
	r.holders.search = s
}

// take keeps what the search has found.
func (h *holders) take() {
	s, now := h.search, time.Now()
	h.search, h.next = nil, now.Add(4*s.cost)
	if h.known == nil || len(h.known) >= maxHolders {
		h.known = make(map[uint64]held)
	}
	for _, inode := range s.sockets {
		h.known[inode] = held{s.found[inode], s.whole, now}
	}
}
