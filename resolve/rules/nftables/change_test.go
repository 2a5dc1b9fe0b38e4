package nftables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

func TestReadOnceSeesAChange(t *testing.T) {
	ip := uint8(unix.NFPROTO_IPV4)
	tables := []object{{ip, tableBytes("t", 1)}}
	for name, k := range map[string]*fakeKernel{
		"generation moved":     {generations: []uint32{1, 2}},
		"chain of a new table": {objects: map[uint16][]object{unix.NFT_MSG_GETCHAIN: {{ip, chainBytes("new", "c", 1)}}}},
		"rule of a new chain": {objects: map[uint16][]object{
			unix.NFT_MSG_GETTABLE: tables, unix.NFT_MSG_GETCHAIN: {{ip, chainBytes("t", "old", 1)}},
			unix.NFT_MSG_GETRULE: {{ip, ruleBytes("t", "new", 1)}}}},
		"dump interrupted": {err: errInterrupted},
	} {
		if k.generations == nil {
			k.generations = []uint32{1}
		}
		if _, _, err := readOnce(t.Context(), k); !errors.Is(err, errInterrupted) {
			t.Errorf("%s: error %v, want errInterrupted", name, err)
		}
	}
}

// Waiting for a generation changes nothing and tells when there is another.
func TestSettle(t *testing.T) {
	ns := newNamespace(t)
	ns.nft(t, "table ip t {\n}\n")
	c := &conn{ns: ns}
	defer c.close()
	gen, err := c.generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.settle(t.Context(), gen); err != nil {
			t.Errorf("settle: %v", err)
		}
		if err := c.settle(t.Context(), gen-1); !errors.Is(err, errInterrupted) {
			t.Errorf("settle with an old generation: %v, want errInterrupted", err)
		}
	}
	if now, err := c.generation(t.Context()); err != nil || now != gen {
		t.Errorf("generation %d, was %d: %v", now, gen, err)
	}
	// It waits for a transaction that is under way, and then says so.
	n := strings.Repeat("drop\n", 20000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ns.nft(t, "table ip t {\nchain c {\n"+n+"}\n}\n")
	}()
	for {
		select {
		case <-done:
			if err := c.settle(t.Context(), gen); !errors.Is(err, errInterrupted) {
				t.Errorf("after a change: %v", err)
			}
			return
		default:
			if err := c.settle(t.Context(), gen); err != nil && !errors.Is(err, errInterrupted) {
				t.Fatal(err)
			}
		}
	}
}

// Read against a ruleset that another thread reloads all the time: what it
// returns is always one of the two rulesets, never a mixture.
func TestReadDuringReloads(t *testing.T) {
	ns := newNamespace(t)
	load := func(n int) string {
		rules := strings.Repeat("drop\n", 200)
		var b strings.Builder
		b.WriteString("flush ruleset\n")
		for i := range 5 {
			fmt.Fprintf(&b, "table ip t%d {\nchain v%d {\n%s}\n}\n", i, n, rules)
		}
		return b.String()
	}
	ns.nft(t, load(0))
	done := make(chan struct{})
	var reloads sync.WaitGroup
	reloads.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			default:
				ns.nft(t, load(n%2))
			}
		}
	})
	whole, changing := 0, 0
	begin := time.Now()
	for time.Since(begin) < 2*time.Second || whole == 0 && time.Since(begin) < time.Minute {
		s, err := Read(t.Context(), ns)
		if errors.Is(err, ErrChanging) {
			changing++
			continue
		}
		if err != nil {
			t.Error(err)
			break
		}
		whole++
		if tables := s.Ruleset().Tables; len(tables) != 5 || !alike(tables) {
			t.Errorf("a mixture: %d tables", len(tables))
			break
		}
	}
	close(done)
	reloads.Wait()
	if whole == 0 {
		t.Errorf("never read, %d times ErrChanging", changing)
	}
}

func alike(tables []*ruleset.Table) bool {
	for _, tb := range tables {
		if len(tb.Chains) != 1 || tb.Chains[0].Name != tables[0].Chains[0].Name || len(tb.Chains[0].Rules) != 200 {
			return false
		}
	}
	return true
}

func TestReadEndsWithItsContext(t *testing.T) {
	ns := newNamespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, ns); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v, want context.Canceled", err)
	}
	ns.nft(t, manyRules(20_000))
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := Read(ctx, ns); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read: %v, want context.DeadlineExceeded", err)
	}
}

func TestReadEmptyNamespace(t *testing.T) {
	s := newNamespace(t).read(t)
	if n := len(s.Ruleset().Tables); n != 0 {
		t.Errorf("%d tables in a new namespace", n)
	}
}

func TestGenerationGrows(t *testing.T) {
	ns := newNamespace(t)
	before, err := Generation(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	ns.nft(t, "table ip t {\n}\n")
	after, err := Generation(t.Context(), ns)
	if err != nil || after <= before {
		t.Errorf("generation %d, then %d (%v)", before, after, err)
	}
	if s := ns.read(t); s.Ruleset().Generation != after {
		t.Errorf("snapshot of generation %d, want %d", s.Ruleset().Generation, after)
	}
}

func TestReadWithoutPrivilege(t *testing.T) {
	if os.Getenv("TEST_POWERLESS") != "" {
		if _, err := Read(t.Context(), here{}); !errors.Is(err, os.ErrPermission) {
			t.Errorf("Read: %v, want os.ErrPermission", err)
		}
		return
	}
	// A process in a user namespace of its own has no rights over a network
	// namespace that it did not make.
	var out strings.Builder
	cmd := exec.Command(os.Args[0], "-test.run=^TestReadWithoutPrivilege$")
	cmd.Env = append(os.Environ(), "TEST_POWERLESS=1")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
	}
	if err := newNamespace(t).Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// here is the namespace that the process is in.
type here struct{}

func (here) Do(fn func() error) error { return fn() }
