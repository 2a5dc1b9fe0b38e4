package iptables

import (
	"fmt"
	"math"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// markSpec has the targets that set a number of the packet.
func markSpec(family, name string) *spec {
	switch name {
	case "MARK":
		return newSpec(buildSetMark, "set-mark=1", "set-xmark=1", "and-mark=1", "or-mark=1", "xor-mark=1")
	case "CONNMARK":
		return newSpec(buildSetConnmark, "set-mark=1", "set-xmark=1", "and-mark=1", "or-mark=1", "xor-mark=1",
			"save-mark", "restore-mark", "mask=1", "nfmask=1", "ctmask=1", "left-shift-mark=1", "right-shift-mark=1")
	case "CLASSIFY":
		return newSpec(buildClassify, "set-class=1")
	case "HMARK":
		return newSpec(func(b *builder, e *extension) error {
			b.emit(&ruleset.Assign{Field: ruleset.Mark, Text: e.text()})
			return nil
		}, "hmark-tuple=1", "hmark-mod=1", "hmark-offset=1", "hmark-rnd=1", "hmark-src-prefix=1",
			"hmark-dst-prefix=1", "hmark-sport-mask=1", "hmark-dport-mask=1", "hmark-sport=1", "hmark-dport=1",
			"hmark-spi-mask=1", "hmark-spi=1", "hmark-proto-mask=1")
	}
	return headerTargetSpec(family, name)
}

// headerTargetSpec has the targets that write into the packet's headers.
func headerTargetSpec(family, name string) *spec {
	switch name {
	case "TOS":
		return newSpec(buildSetTOS, "set-tos=1", "and-tos=1", "or-tos=1", "xor-tos=1")
	case "DSCP":
		return newSpec(buildSetDSCP, "set-dscp=1", "set-dscp-class=1")
	case "TTL":
		if family == "ip" {
			return newSpec(buildSetTTL, "set/ttl-set=1", "dec/ttl-dec=1", "inc/ttl-inc=1")
		}
	case "HL":
		if family == "ip6" {
			return newSpec(buildSetTTL, "set/hl-set=1", "dec/hl-dec=1", "inc/hl-inc=1")
		}
	case "ECN":
		return newSpec(func(b *builder, e *extension) error {
			const cwrECE = 0xc0
			b.assign(e, ruleset.TCPFlags, 0xff&^cwrECE, 0)
			return nil
		}, "ecn-tcp-remove")
	case "TCPOPTSTRIP":
		return newSpec(func(b *builder, e *extension) error {
			b.emit(&ruleset.Header{
				Size: 20, Options: true, LaterFragments: true, Short: ruleset.ShortDrops, Text: e.text(),
			})
			return nil
		}, "strip-options=1")
	}
	return nil
}

// assign emits (old AND keep) XOR value.
func (b *builder) assign(e *extension, f ruleset.Field, keep, value uint64) {
	a := &ruleset.Assign{Field: f, Value: bigEndian(f.Size(), value), Known: true, Text: e.text()}
	if keep != 0 {
		a.Mask = bigEndian(f.Size(), keep)
	}
	b.emit(a)
}

// markChange is what a number becomes: (old AND keep) XOR value.
func markChange(o option, most uint64) (keep, value uint64, err error) {
	kind, _, _ := strings.Cut(o.name, "-")
	switch kind {
	case "and":
		keep, err = parseNumber(o.arg(), most)
		return keep, 0, err
	case "or":
		value, err = parseNumber(o.arg(), most)
		return most &^ value, value, err
	case "xor":
		value, err = parseNumber(o.arg(), most)
		return most, value, err
	}
	value, mask, err := parseMasked(o.arg(), most)
	if strings.Contains(o.name, "xmark") {
		return most &^ mask, value, err
	}
	// --set-mark clears what the value sets, too.
	return most &^ (mask | value), value, err
}

func buildSetMark(b *builder, e *extension) error {
	for _, o := range e.options {
		keep, value, err := markChange(o, math.MaxUint32)
		if err != nil {
			return badValue(o, err)
		}
		b.assign(e, ruleset.Mark, keep, value)
	}
	return nil
}

// buildSetConnmark is connmark_tg of xt_connmark.c.
func buildSetConnmark(b *builder, e *extension) error {
	_, save := e.find("save-mark")
	_, restore := e.find("restore-mark")
	if save || restore {
		return b.copyMark(e, save)
	}
	for _, o := range e.options {
		if strings.HasSuffix(o.name, "shift-mark") {
			b.emit(&ruleset.Assign{Field: ruleset.CTMark, Text: e.text()})
			return nil
		}
	}
	for _, o := range e.options {
		if !strings.HasSuffix(o.name, "mark") {
			return badValue(o, ErrSyntax)
		}
		keep, value, err := markChange(o, math.MaxUint32)
		if err != nil {
			return badValue(o, err)
		}
		b.assign(e, ruleset.CTMark, keep, value)
	}
	return nil
}

// copyMark makes --save-mark or --restore-mark: of the one that is read the bits
// of its mask are taken, of the other those of its mask are cleared.
func (b *builder) copyMark(e *extension, save bool) error {
	a := &ruleset.Assign{Field: ruleset.Mark, From: ruleset.CTMark, Known: true, Text: e.text()}
	read, written := "ctmask", "nfmask"
	if save {
		a.Field, a.From = ruleset.CTMark, ruleset.Mark
		read, written = written, read
	}
	readMask, writtenMask := uint64(math.MaxUint32), uint64(math.MaxUint32)
	for _, o := range e.options {
		if strings.HasSuffix(o.name, "shift-mark") {
			a.Known = false
			continue
		}
		if len(o.args) == 0 {
			continue
		}
		n, err := parseNumber(o.arg(), math.MaxUint32)
		if err != nil {
			return badValue(o, err)
		}
		if o.name == read || o.name == "mask" {
			readMask = n
		}
		if o.name == written || o.name == "mask" {
			writtenMask = n
		}
	}
	a.Value = bigEndian(4, readMask)
	if keep := math.MaxUint32 &^ writtenMask; keep != 0 {
		a.Mask = bigEndian(4, keep)
	}
	b.emit(a)
	return nil
}

// buildClassify: --set-class major:minor, both hexadecimal.
func buildClassify(b *builder, e *extension) error {
	for _, o := range e.options {
		var major, minor uint64
		if _, err := fmt.Sscanf(o.arg(), "%x:%x", &major, &minor); err != nil || major > 0xffff || minor > 0xffff {
			return badValue(o, fmt.Errorf("no class: %w", ErrSyntax))
		}
		b.assign(e, ruleset.Priority, 0, major<<16|minor)
	}
	return nil
}

// assignTrafficClass sets bits of the DS byte.
func (b *builder) assignTrafficClass(e *extension, keep, value uint64) {
	f, shift := b.trafficClass()
	all := uint64(0xff) << shift
	rest := (uint64(1)<<(8*f.Size()) - 1) &^ all
	b.assign(e, f, keep<<shift&all|rest, value<<shift)
}

func buildSetTOS(b *builder, e *extension) error {
	for _, o := range e.options {
		keep, value, err := markChange(o, 0xff)
		if o.name == "set-tos" {
			var mask uint64
			value, mask, err = tos(o.arg())
			keep = 0xff &^ (mask | value)
		}
		if err != nil {
			return badValue(o, err)
		}
		b.assignTrafficClass(e, keep, value)
	}
	return nil
}

func buildSetDSCP(b *builder, e *extension) error {
	for _, o := range e.options {
		n, err := dscp(o)
		if err != nil {
			return badValue(o, err)
		}
		b.assignTrafficClass(e, 0x03, n<<2)
	}
	return nil
}

func buildSetTTL(b *builder, e *extension) error {
	f := ruleset.IPTTL
	if b.family == "ip6" {
		f = ruleset.IP6HopLimit
	}
	for _, o := range e.options {
		n, err := parseNumber(o.arg(), 255)
		if err != nil {
			return badValue(o, err)
		}
		if o.name == "set" {
			b.assign(e, f, 0, n)
			continue
		}
		b.emit(&ruleset.Assign{Field: f, Text: e.text()})
	}
	return nil
}
