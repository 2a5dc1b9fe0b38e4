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

// calibrate finds the homes of variables. What cannot be calibrated is named
// and leaves droptrace with fewer certain answers, not with wrong ones.
func (t *Tracer) calibrate(ctx context.Context, symbols Symbols) {
	if !t.canCalibrate() {
		return // each of its packets would be waited for
	}
	n, err := calibrate.NewNamespace()
	if err != nil {
		t.notice("rules of nftables may stay unknown: %v", err)
		return
	}
	defer n.Close()
	t.config.CalibrationNetns = n.Inode
	defer func() { t.config.CalibrationNetns = 0 }()
	if err := t.writeConfig(); err != nil {
		t.notice("not calibrated: %v", err)
		return
	}
	c := calibrate.Dropper{Namespace: n, Read: t.readCalibration, ReturnBits: ownReturnBits(symbols)}
	if hasNFT(symbols) && t.unknown.nft == nil {
		if err := c.LoadRules(); err != nil {
			t.notice("rules of nftables may stay unknown: %v", err)
		}
	}
	samples := t.dropAll(ctx, &c)
	// Once more beside another program: somebody may attach one later.
	if t.kernel.Companion != nil {
		if l, err := t.kernel.machine.attachTracing(t.kernel.Companion); err == nil {
			samples = append(samples, t.dropAll(ctx, &c)...)
			l.Close()
		}
	}
	t.learn(samples)
}

// Intervals between two calibrations.
const (
	recalibrateFirst = 100 * time.Millisecond
	recalibrateMost  = time.Minute // where one did not help
)

// checkFrame notices frames that calibration did not see of calls that it knows: beside another
// program on the tracepoint, which came or went since, the stack is another.
func (t *Tracer) checkFrame(e *event.Event) {
	if e.Flags&event.Uncalibrated == 0 || t.stale {
		return
	}
	t.stale = slices.Contains(t.sites[t.siteKind(e.Location)], e.Location)
}

// Recalibrate finds the homes of variables again where drops have shown that they
// moved; else it does nothing and returns false. Drops that come meanwhile are
// kept. The deadline that was set is no longer.
func (t *Tracer) Recalibrate(ctx context.Context) bool {
	if !t.stale || time.Now().Before(t.calibrateNext) {
		return false
	}
	t.stale = false
	t.calibrate(ctx, t.options.Symbols)
	t.calibratePause = min(max(2*t.calibratePause, recalibrateFirst), recalibrateMost)
	t.calibrateNext = time.Now().Add(t.calibratePause)
	if err := t.writeConfig(); err != nil {
		t.notice("not calibrated again: %v", err)
	}
	return true
}

func (t *Tracer) dropAll(ctx context.Context, c *calibrate.Dropper) []calibrate.Sample {
	samples, err := c.Hooks(ctx)
	if err != nil {
		samples = nil // before 6.4, or no such programs in this kernel
	}
	nft, err := c.Rules(ctx)
	if err != nil && ctx.Err() == nil && !t.flushed {
		t.notice("rules of nftables may stay unknown: %v", err)
	}
	return append(samples, nft...)
}

func (t *Tracer) learn(samples []calibrate.Sample) {
	for key, site := range calibrate.Sites(samples) {
		if err := t.kernel.table("frame_sites").Put(&key, &site); err != nil {
			t.notice("not calibrated: %v", err)
			continue
		}
		t.learned |= 1 << site.Kind
		kind := t.siteKind(key.Location)
		if !slices.Contains(t.sites[kind], key.Location) {
			t.sites[kind] = append(t.sites[kind], key.Location)
		}
	}
	if len(t.sites[siteNFT]) > 0 {
		t.config.NftInPlace = 1
	}
}

// notice says each thing once, however often it comes up.
func (t *Tracer) notice(format string, args ...any) {
	n := fmt.Sprintf(format, args...)
	if !slices.Contains(t.noticed, n) {
		t.noticed = append(t.noticed, n)
		t.notices = append(t.notices, n)
	}
}

// readCalibration is a calibrate.Reader.
func (t *Tracer) readCalibration(port uint16) (*bpf.KernelCalibration, bool, error) {
	t.reader.SetDeadline(time.Now().Add(calibrationWait))
	defer t.reader.SetDeadline(time.Time{})
	for {
		err := t.reader.ReadInto(&t.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, false, nil
		}
		t.flushed = t.flushed || errors.Is(err, ringbuf.ErrFlushed)
		if err != nil {
			return nil, false, fmt.Errorf("read calibration: %w", err)
		}
		c := decodeCalibration(t.record.RawSample)
		if c == nil {
			t.keepForLater()
			continue
		}
		if destinationPort(c) != port {
			continue
		}
		if kind := t.siteKind(c.Event.Location); kind == siteHookSlow || kind == siteNFT {
			return c, kind == siteHookSlow, nil
		}
	}
}

// keepForLater holds on to a drop that came while calibration read the ring.
func (t *Tracer) keepForLater() {
	const most = 4096 // a refresh under flood: what is more counts as lost
	if len(t.early) >= most {
		t.earlyLost.Add(1)
		return
	}
	e := new(event.Event)
	if e.Decode(t.record.RawSample) == nil {
		t.early = append(t.early, e.Clone())
	}
}

func isCalibration(raw []byte) bool {
	return len(raw) > 0 && event.Type(raw[0]) == event.Calibration
}

func decodeCalibration(raw []byte) *bpf.KernelCalibration {
	c := new(bpf.KernelCalibration)
	size := unsafe.Sizeof(*c)
	if uintptr(len(raw)) < size || !isCalibration(raw) {
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

func (t *Tracer) siteKind(location uint64) uint32 {
	for _, s := range t.config.Sites {
		if location > s.Start && location <= s.End {
			return s.Kind
		}
	}
	return 0
}
