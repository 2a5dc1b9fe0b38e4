package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// decoder turns the blocks of a recording back into drops.
type decoder struct {
	known      bool // a section of droptrace's was begun
	interfaces []capturedAt
	verdicts   map[uint32]*drop.Drop
	started    time.Time
	ending     *ending
}

// capturedAt is what an interface block says.
type capturedAt struct {
	link   drop.LinkType
	device string
	name   string
}

var (
	errBlock   = errors.New("a block is damaged")
	errVerdict = errors.New("a packet's verdict is missing: another program has written this file")
)

// maxInterfaces bounds what a hostile file can make us keep.
const maxInterfaces = 1 << 20

// section begins anew: numbers of interfaces and verdicts are a section's own.
func (d *decoder) section(b []byte) error {
	const fixed = 16 // magic, version, length
	if len(b) < fixed {
		return errBlock
	}
	*d = decoder{verdicts: make(map[uint32]*drop.Drop), started: d.started}
	app, comment := "", ""
	for o := (options{b: b[fixed:]}); o.next(); {
		switch o.code {
		case optVersion:
			if len(o.value) != 1 || o.value[0] != version {
				return errors.New("it was written by a newer droptrace")
			}
			d.known = true
		case optStarted:
			if len(o.value) == 8 && d.started.IsZero() {
				d.started = time.Unix(0, int64(order.Uint64(o.value)))
			}
		case optApp:
			app = string(o.value)
		case optComment:
			comment = string(o.value)
		}
	}
	if !d.known {
		return &ForeignError{Format: "pcapng", Writer: app, Comment: comment}
	}
	return nil
}

func (d *decoder) device(b []byte) error {
	const fixed = 8 // link type, reserved, snaplen
	if len(b) < fixed || len(d.interfaces) == maxInterfaces {
		return errBlock
	}
	at := capturedAt{link: drop.LinkType(order.Uint16(b))}
	for o := (options{b: b[fixed:]}); o.next(); {
		if o.code == optName {
			at.name = string(o.value)
			at.device = at.name[strings.LastIndexByte(at.name, ':')+1:]
		}
	}
	d.interfaces = append(d.interfaces, at)
	return nil
}

func (d *decoder) verdict(b []byte) error {
	if len(b) < 4 {
		return errBlock
	}
	number := order.Uint32(b)
	if number >= maxVerdicts {
		return errBlock
	}
	var v drop.Drop
	text := strings.TrimRight(string(b[4:]), "\x00")
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return fmt.Errorf("a verdict is damaged: %w", err)
	}
	d.verdicts[number] = &v
	return nil
}

// packet fills r, whose Capture lives as long as b.
func (d *decoder) packet(b []byte, r *Record) error {
	const fixed = 20
	if len(b) < fixed {
		return errBlock
	}
	device, at := order.Uint32(b), uint64(order.Uint32(b[4:]))<<32|uint64(order.Uint32(b[8:]))
	captured, original := uint64(order.Uint32(b[12:])), order.Uint32(b[16:])
	padded := (captured + 3) &^ 3
	if uint64(len(b)-fixed) < padded || int(device) >= len(d.interfaces) {
		return errBlock
	}
	in := &d.interfaces[device]
	c := &r.Capture
	*c = drop.Capture{Link: in.link, Original: int(original), Data: b[fixed : fixed+captured]}
	c.Device.Name = in.device
	r.Lost, r.Comment = 0, r.Comment[:0]
	var record []byte
	for o := (options{b: b[fixed+padded:]}); o.next(); {
		switch {
		case o.code == optComment && len(r.Comment) == 0:
			r.Comment = append(r.Comment, o.value...)
		case o.code == optFlags && len(o.value) == 4:
			flags := order.Uint32(o.value)
			c.Direction, c.Reception = drop.Direction(flags&3), drop.Reception(flags>>2&7)
		case o.code == optDrops && len(o.value) == 8:
			r.Lost = order.Uint64(o.value)
		case o.code == optRecord:
			record = o.value
		}
	}
	if record == nil {
		return errVerdict
	}
	return d.drop(record, time.Unix(0, int64(at)), r)
}

// drop puts the verdict and the packet's own facts together.
func (d *decoder) drop(record []byte, at time.Time, r *Record) error {
	v, err := readRecord(record)
	if err != nil {
		return err
	}
	common := d.verdicts[uint32(min(v.verdict, maxVerdicts))]
	if common == nil {
		return errVerdict
	}
	out := *common
	out.Time = at
	c := &r.Capture
	c.Parsed, c.Tagged = v.parsed, v.flags&taggedBytes != 0
	if out.In != nil && out.In.Name == c.Device.Name {
		c.Device.Index = out.In.Index
	} else if out.Out != nil && out.Out.Name == c.Device.Name {
		c.Device.Index = out.Out.Index
	}
	if v.packet == nil {
		etherType, b := network(c.Link, c.Data, c.Tagged)
		out.Packet = drop.ReadPacket(etherType, b[:min(len(b), v.parsed)])
	}
	if err := v.apply(&out); err != nil {
		return err
	}
	r.Drop = &out
	return nil
}

func (d *decoder) end(b []byte) error {
	var e ending
	if err := json.Unmarshal([]byte(strings.TrimRight(string(b), "\x00")), &e); err != nil {
		return fmt.Errorf("the counters are damaged: %w", err)
	}
	d.ending = &e
	return nil
}

// options walks over the options of a block; one that goes past the end ends it.
type options struct {
	b     []byte
	code  uint16
	value []byte
}

func (o *options) next() bool {
	if len(o.b) < optionHeader {
		return false
	}
	o.code = order.Uint16(o.b)
	n := int(order.Uint16(o.b[2:]))
	o.b = o.b[optionHeader:]
	if o.code == optEnd || n > len(o.b) {
		return false
	}
	o.value = o.b[:n]
	o.b = o.b[min((n+3)&^3, len(o.b)):]
	return true
}
