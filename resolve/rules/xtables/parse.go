package xtables

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// Parse reads a table from its entries as IPT_SO_GET_ENTRIES returns them, in the
// byte order of this machine. raw is not kept.
//
// The kernel checks a table when it is loaded, so Parse refuses what it would:
// any doubt about where a chain begins would give a drop to the wrong rule. The
// error is [ErrMalformed].
func Parse(id TableID, info Info, raw []byte) (*Blob, error) {
	b, err := parse(id, info, bytes.Clone(raw))
	if err != nil {
		return nil, fmt.Errorf("table %q of %s: %w", id.Name, id.Family, err)
	}
	return b, nil
}

// parse keeps raw, and cleans it.
func parse(id TableID, info Info, raw []byte) (*Blob, error) {
	l, err := layoutOf(id.Family)
	if err != nil {
		return nil, err
	}
	if uint64(len(raw)) != uint64(info.Size) {
		return nil, fmt.Errorf("%d bytes of %d: %w", len(raw), info.Size, ErrMalformed)
	}
	b := &Blob{
		ID: id, Info: info, layout: l, raw: raw,
		Table: &ruleset.Table{Engine: ruleset.IPTablesLegacy, Family: id.Family, Name: id.Name},
	}
	if err := b.parseEntries(); err != nil {
		return nil, err
	}
	if err := b.nameChains(); err != nil {
		return nil, err
	}
	if err := b.reach(); err != nil {
		return nil, err
	}
	return b, nil
}

// same reports whether info and raw are those of the blob's rules; it cleans raw.
// Bytes that are cleaned away hide nothing: what tells where they stand is compared.
func (b *Blob) same(info Info, raw []byte) bool {
	if info != b.Info || len(raw) != len(b.raw) {
		return false
	}
	for i := range b.Entries {
		b.layout.clean(raw[b.Entries[i].Offset:])
	}
	return bytes.Equal(raw, b.raw)
}

// parseEntries cuts b.raw into entries and cleans them.
func (b *Blob) parseEntries() error {
	targets := make(map[string]string) // each name once, 10,000 rules have few
	least := b.layout.total + partHead
	b.Entries = make([]Entry, 0, min(int64(b.Number), int64(len(b.raw)/least)))
	for at := 0; at < len(b.raw); {
		e := Entry{Offset: uint32(at)}
		if !b.parseEntry(&e, b.raw[at:], targets) {
			return fmt.Errorf("entry at %d: %w", at, ErrMalformed)
		}
		b.Entries = append(b.Entries, e)
		at += int(e.NextOffset)
	}
	if uint64(len(b.Entries)) != uint64(b.Number) {
		return fmt.Errorf("%d entries of %d: %w", len(b.Entries), b.Number, ErrMalformed)
	}
	return nil
}

// parseEntry reads the entry that raw begins with.
func (b *Blob) parseEntry(e *Entry, raw []byte, targets map[string]string) bool {
	l := b.layout
	if len(raw) < l.total {
		return false
	}
	e.TargetOffset = binary.NativeEndian.Uint16(raw[l.targetOffset:])
	e.NextOffset = binary.NativeEndian.Uint16(raw[l.nextOffset:])
	target, next := int(e.TargetOffset), int(e.NextOffset)
	if target < l.total || target%alignment != 0 || next < target || next%alignment != 0 || next > len(raw) {
		return false
	}
	e.Packets = binary.NativeEndian.Uint64(raw[l.counters:])
	e.Bytes = binary.NativeEndian.Uint64(raw[l.counters+8:])
	// Above these bits stands one that is set only while the kernel walks.
	e.comefrom = uint8(binary.NativeEndian.Uint32(raw[l.comefrom:])) & (1<<hookCount - 1)
	e.Head = raw[:l.total:l.total]
	l.clean(e.Head)
	e.unconditional = l.unconditional(raw, target)

	// The target goes as far as the entry: nothing stands on target_size.
	t := part(raw[target:next])
	if len(t) < partHead {
		return false
	}
	name, known := targets[string(t.name())]
	if !known {
		name = string(t.name())
		targets[name] = name
	}
	e.Target = name
	if name == standardTarget {
		if len(t) < standardSize {
			return false
		}
		e.Standard, e.Verdict = true, int32(binary.NativeEndian.Uint32(t.data()))
	}
	e.MayHotdrop = l.flags != 0 && raw[l.flags]&flagProto != 0
	return b.eachMatch(e, func(m part) {
		e.MayHotdrop = e.MayHotdrop || !iptables.MatchPasses(string(m.name()))
	})
}

// eachMatch visits the entry's matches and reports whether they are whole.
func (b *Blob) eachMatch(e *Entry, visit func(m part)) bool {
	raw := b.raw[int(e.Offset)+b.layout.total : int(e.Offset)+int(e.TargetOffset)]
	for len(raw) > 0 {
		m, rest, ok := cutPart(raw)
		if !ok {
			return false
		}
		visit(m)
		raw = rest
	}
	return true
}

// target is the entry's target, which parseEntry has checked.
func (b *Blob) target(e *Entry) part {
	t, _, _ := cutPart(b.raw[int(e.Offset)+int(e.TargetOffset) : e.end()])
	return t
}

// comment is the text of the entry's first comment match, "" where it has none.
func (b *Blob) comment(e *Entry) (text string) {
	b.eachMatch(e, func(m part) {
		if text == "" && string(m.name()) == commentMatch {
			text = string(cut(m.data()))
		}
	})
	return text
}
