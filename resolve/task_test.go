package resolve

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules/budget"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
)

func newTaskResolver(t *testing.T) *Resolver {
	t.Helper()
	r := &Resolver{tasks: newTasks(), memory: budget.New(budget.All, nil), spaces: make(map[uint32]*namespace)}
	r.others = budget.New(budget.Others, r.memory)
	t.Cleanup(r.Stop)
	return r
}

// until returns a reading that lasts until its context or the channel ends.
func until(end <-chan struct{}) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-end:
		case <-ctx.Done():
		}
	}
}

func TestDropWaitsForWhatIsRead(t *testing.T) {
	r, n, end := newTaskResolver(t), &namespace{}, make(chan struct{})
	task := r.start(n, time.Hour, nil, until(end))
	if r.await(task, time.Hour) || !r.pending {
		t.Errorf("a reading that goes on: pending %v", r.pending)
	}
	r.pending = false
	if r.await(task, 0) || r.pending {
		t.Errorf("a reading that takes too long for the drop: pending %v", r.pending)
	}
	before := r.Finished()
	close(end)
	<-task.done
	n.running.Wait()
	if !r.await(task, time.Hour) || r.pending || r.Finished() != before+1 {
		t.Errorf("a reading that is done: pending %v, %d finished", r.pending, r.Finished())
	}
}

func TestStopEndsReadings(t *testing.T) {
	r, n := newTaskResolver(t), &namespace{}
	task := r.start(n, time.Hour, nil, until(nil))
	r.Stop()
	r.until = time.Now().Add(time.Hour)
	n.running.Wait()
	if !r.await(task, time.Hour) {
		t.Error("it goes on")
	}
}

func TestSlowNamespacesKeepNoSlotFromOurOwn(t *testing.T) {
	r, end := newTaskResolver(t), make(chan struct{})
	var others []*namespace
	running := make(chan struct{}, 2*maxTasks)
	for range 2 * maxTasks {
		n := &namespace{}
		others = append(others, n)
		r.start(n, time.Hour, nil, func(ctx context.Context) {
			running <- struct{}{}
			until(end)(ctx)
		})
	}
	for range maxTasks {
		<-running
	}
	own := &namespace{info: drop.Netns{Own: true}}
	<-r.start(own, time.Hour, nil, func(context.Context) {}).done
	if n := len(running); n > 0 {
		t.Errorf("%d more than %d at once", n, maxTasks)
	}
	close(end)
	for _, n := range others {
		n.running.Wait()
	}
}

// Namespaces that took long before leave slots for those that did not.
func TestSlowNamespacesLeaveSlots(t *testing.T) {
	r, end := newTaskResolver(t), make(chan struct{})
	var slow []*namespace
	running := make(chan struct{}, 2*maxTasks)
	for range 2 * maxTasks {
		n := &namespace{}
		n.slow.Store(true)
		slow = append(slow, n)
		r.start(n, time.Hour, nil, func(ctx context.Context) {
			running <- struct{}{}
			until(end)(ctx)
		})
	}
	for range maxSlow {
		<-running
	}
	<-r.start(&namespace{}, time.Hour, nil, func(context.Context) {}).done
	if n := len(running); n > 0 {
		t.Errorf("%d more than %d slow ones at once", n, maxSlow)
	}
	close(end)
	for _, n := range slow {
		n.running.Wait()
	}
}

func TestLimitsAreTold(t *testing.T) {
	r, n := newTaskResolver(t), &namespace{}
	var err error
	<-r.start(n, time.Millisecond, r.memoryOf(n), func(ctx context.Context) {
		<-ctx.Done()
		err = limited(ctx, ctx.Err())
	}).done
	if !errors.Is(err, budget.ErrLimit) {
		t.Errorf("time: %v", err)
	}
	<-r.start(n, time.Hour, r.memoryOf(n), func(ctx context.Context) {
		err = limited(ctx, errors.Join(errors.New("list rules"), budget.From(ctx).Take(33<<20)))
	}).done
	if err == nil || err.Error() != "rules not read: 32 MB limit" {
		t.Errorf("memory: %v", err)
	}
}

func TestRoomIsMadeByTheLongestUnused(t *testing.T) {
	r := newTaskResolver(t)
	begin := time.Now()
	for i := range uint32(4) {
		n := &namespace{nft: &nftables.Snapshot{}, used: begin.Add(time.Duration(i) * time.Second)}
		n.nftMemory = r.memoryOf(n)
		if err := n.nftMemory.Take(30 << 20); err != nil {
			t.Fatal(err)
		}
		r.spaces[i] = n
	}
	r.makeRoom(r.spaces[1])
	if r.spaces[0].nft != nil || r.spaces[1].nft == nil || r.spaces[2].nft == nil {
		t.Errorf("kept: %v", r.spaces)
	}
	if got := r.memory.Taken(); got != 90<<20 {
		t.Errorf("%d MB are taken", got>>20)
	}
}

// Namespaces come and go, some while they are read: what that took is all there again.
func TestMemoryOfANamespaceThatGoesComesBack(t *testing.T) {
	r := newTaskResolver(t)
	n := &namespace{nftTask: &nftReading{memory: r.memoryOf(&namespace{})}, reading: &reading{memory: r.memoryOf(&namespace{})}}
	taken := make(chan error, 2)
	read := func(ctx context.Context) {
		taken <- budget.From(ctx).Take(1 << 20)
		<-ctx.Done()
	}
	n.nftTask.task = r.start(n, time.Hour, n.nftTask.memory, read)
	n.reading.task = r.start(n, time.Hour, n.reading.memory, read)
	if err := errors.Join(<-taken, <-taken); err != nil {
		t.Fatal(err)
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	n.running.Wait()
	if got := r.memory.Taken(); got != 0 {
		t.Errorf("%d bytes are taken", got)
	}
}

// However much others take, and hold, our own rules are read.
func TestOthersLeaveOurOwnItsShare(t *testing.T) {
	r := newTaskResolver(t)
	for range 8 {
		_ = r.memoryOf(&namespace{}).Take(budget.Other)
	}
	if err := r.memoryOf(&namespace{}).Take(1); !errors.Is(err, budget.ErrLimit) {
		t.Errorf("others: got %v, want %v", err, budget.ErrLimit)
	}
	own := &namespace{}
	own.info.Own = true
	if err := r.memoryOf(own).Take(20 << 20); err != nil {
		t.Errorf("our own: %v", err)
	}
}
