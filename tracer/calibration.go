package tracer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/droptrace/droptrace/bpf"
	"github.com/droptrace/droptrace/tracer/calibrate"
	"github.com/droptrace/droptrace/tracer/event"
)

// calibrationWait bounds the wait for the record of a packet just dropped.
const calibrationWait = 200 * time.Millisecond

// calibration is one search for the homes of variables. It shares nothing with the
// reader of drops but the kernel side, and may run beside it.
type calibration struct {
	kernel *kernelSide
	sites  [24]bpf.KernelSiteRange
	nft    bool // nf_tables is in the kernel, and its types are known
	// returnBits are those of a return address that are the address's own.
	returnBits uint64
	netns      uint32
	ring       *ringbuf.Reader
	record     ringbuf.Record
	found      calibrated
}

// calibrated is what came of one. What cannot be calibrated is named and leaves
// droptrace with fewer certain answers, not with wrong ones.
type calibrated struct {
	samples []calibrate.Sample
	notices []string
}

func (t *Tracer) newCalibration(symbols Symbols) *calibration {
	return &calibration{
		kernel: t.kernel, sites: t.config.Sites, nft: hasNFT(symbols) && t.unknown.nft == nil,
		returnBits: ownReturnBits(symbols),
	}
}

// calibrate finds the homes of variables before anybody reads drops.
func (t *Tracer) calibrate(ctx context.Context, symbols Symbols) {
	if !t.canCalibrate() {
		return // each of its packets would be waited for
	}
	t.learn(t.newCalibration(symbols).run(ctx))
}

// run drops packets in a namespace of its own, until ctx ends.
func (c *calibration) run(ctx context.Context) calibrated {
	if err := c.drop(ctx); err != nil && ctx.Err() == nil {
		c.notice("rules of nftables may stay unknown: %v", err)
	}
	return c.found
}

func (c *calibration) notice(format string, args ...any) {
	c.found.notices = append(c.found.notices, fmt.Sprintf(format, args...))
}

func (c *calibration) drop(ctx context.Context) error {
	n, err := calibrate.NewNamespace()
	if err != nil {
		return err
	}
	defer n.Close()
	c.netns = n.Inode
	if c.ring, err = ringbuf.NewReader(c.kernel.table("calibration_records")); err != nil {
		return fmt.Errorf("open ring buffer: %w", err)
	}
	defer c.ring.Close()
	netns := c.kernel.table("calibration_netns")
	if err := netns.Put(uint32(0), c.netns); err != nil {
		return fmt.Errorf("configure kernel side: %w", err)
	}
	defer netns.Put(uint32(0), uint32(0))
	d := calibrate.Dropper{Namespace: n, Read: c.read, ReturnBits: c.returnBits}
	if c.nft {
		if err := d.LoadRules(); err != nil {
			c.notice("rules of nftables may stay unknown: %v", err)
		}
	}
	c.dropAll(ctx, &d)
	// Once more beside another program: somebody may attach one later.
	if c.kernel.Companion == nil {
		return nil
	}
	l, err := c.kernel.machine.attachTracing(c.kernel.Companion)
	if err == nil {
		c.dropAll(ctx, &d)
		l.Close()
	}
	return nil
}

func (c *calibration) dropAll(ctx context.Context, d *calibrate.Dropper) {
	samples, err := d.Hooks(ctx)
	if err == nil { // else before 6.4, or no such programs in this kernel
		c.found.samples = append(c.found.samples, samples...)
	}
	samples, err = d.Rules(ctx)
	if err != nil && ctx.Err() == nil {
		c.notice("rules of nftables may stay unknown: %v", err)
	}
	c.found.samples = append(c.found.samples, samples...)
}

// read is a calibrate.Reader.
func (c *calibration) read(port uint16) (*bpf.KernelCalibration, bool, error) {
	c.ring.SetDeadline(time.Now().Add(calibrationWait))
	for {
		err := c.ring.ReadInto(&c.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("read calibration: %w", err)
		}
		// One before may have come too late for whoever waited for it.
		r := decodeCalibration(c.record.RawSample)
		if r == nil || r.Event.Netns != c.netns || destinationPort(r) != port {
			continue
		}
		if kind := siteKind(&c.sites, r.Event.Location); kind == siteHookSlow || kind == siteNFT {
			return r, kind == siteHookSlow, nil
		}
	}
}

// learn reports whether it has got to know a frame.
func (t *Tracer) learn(found calibrated) (news bool) {
	for _, n := range found.notices {
		t.notice("%s", n)
	}
	for key, site := range calibrate.Sites(found.samples) {
		var before bpf.KernelFrameSite
		if t.kernel.table("frame_sites").Lookup(&key, &before) != nil {
			news = true
		}
		if err := t.kernel.table("frame_sites").Put(&key, &site); err != nil {
			t.notice("not calibrated: %v", err)
			continue
		}
		t.learned |= 1 << site.Kind
		kind := siteKind(&t.config.Sites, key.Location)
		if !slices.Contains(t.sites[kind], key.Location) {
			t.sites[kind] = append(t.sites[kind], key.Location)
		}
	}
	if len(t.sites[siteNFT]) > 0 {
		t.config.NftInPlace = 1
	}
	return news
}

// notice says each thing once, however often it comes up.
func (t *Tracer) notice(format string, args ...any) {
	n := fmt.Sprintf(format, args...)
	if !slices.Contains(t.noticed, n) {
		t.noticed = append(t.noticed, n)
		t.notices = append(t.notices, n)
	}
}

func decodeCalibration(raw []byte) *bpf.KernelCalibration {
	c := new(bpf.KernelCalibration)
	size := unsafe.Sizeof(*c)
	if uintptr(len(raw)) < size || event.Type(raw[0]) != event.Calibration {
		return nil
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(c)), size), raw)
	return c
}

// destinationPort of the IPv4 UDP packet that calibration sent.
func destinationPort(c *bpf.KernelCalibration) uint16 {
	const ip, udpPort = 20, 2
	return binary.BigEndian.Uint16(c.Event.Header[ip+udpPort:])
}

func siteKind(sites *[24]bpf.KernelSiteRange, location uint64) uint32 {
	for _, s := range sites {
		if location > s.Start && location <= s.End {
			return s.Kind
		}
	}
	return 0
}
