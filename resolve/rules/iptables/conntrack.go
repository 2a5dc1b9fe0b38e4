package iptables

import (
	"fmt"
	"math"
	"strings"

	"github.com/droptrace/droptrace/resolve/netfilter"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// conntrackSpec has the matches of what conntrack knows.
func conntrackSpec(_, name string) *spec {
	switch name {
	case "conntrack":
		return newSpec(buildConntrack, "ctstate=1", "ctproto=1", "ctorigsrc=1", "ctorigdst=1", "ctreplsrc=1",
			"ctrepldst=1", "ctorigsrcport=1", "ctorigdstport=1", "ctreplsrcport=1", "ctrepldstport=1",
			"ctstatus=1", "ctexpire=1", "ctdir=1")
	case "state":
		return newSpec(buildConntrack, "state=1")
	case "connmark":
		return newSpec(buildConnmark, "mark=1")
	}
	return nil
}

// buildConntrack is conntrack_mt of xt_conntrack.c. It returns true for a packet
// without a connection as soon as the state matches, whatever else is asked for.
func buildConntrack(b *builder, e *extension) error {
	tests := *b
	tests.statements = nil
	stateful := false
	for _, o := range e.options {
		if o.name == "ctstate" || o.name == "state" {
			stateful = true
			if err := b.buildState(o); err != nil {
				return badValue(o, err)
			}
			continue
		}
		if err := tests.buildConntrackTest(o); err != nil {
			return badValue(o, err)
		}
	}
	switch {
	case !stateful && len(tests.statements) == 0:
		// Nothing is asked: what has a connection matches.
		b.emit(connected(e.text(), true))
	case !stateful:
		b.emit(tests.statements...)
	case len(tests.statements) > 0:
		b.emit(&ruleset.Any{Text: e.text(), Of: [][]ruleset.Statement{
			{connected(e.text(), false)}, tests.statements,
		}})
	}
	return nil
}

// connected holds for packets with a connection, or for those without.
func connected(text string, with bool) *ruleset.Match {
	return anyBit(option{neg: with, words: []word{{text: text}}}, ruleset.CTState,
		ruleset.CTInvalid|ruleset.CTUntracked)
}

// buildState makes --ctstate. SNAT and DNAT are no states but bits of the
// connection's status.
func (b *builder) buildState(o option) error {
	var states, status uint64
	for name := range strings.SplitSeq(o.arg(), ",") {
		switch strings.ToUpper(name) {
		case "INVALID":
			states |= ruleset.CTInvalid
		case "ESTABLISHED":
			states |= ruleset.CTEstablished
		case "RELATED":
			states |= ruleset.CTRelated
		case "NEW":
			states |= ruleset.CTNew
		case "UNTRACKED":
			states |= ruleset.CTUntracked
		case "SNAT":
			status |= netfilter.StatusSNAT
		case "DNAT":
			status |= netfilter.StatusDNAT
		default:
			return fmt.Errorf("%q is no state: %w", name, ErrSyntax)
		}
	}
	if status == 0 {
		b.matchAnyBit(o, ruleset.CTState, states)
		return nil
	}
	either := &ruleset.Any{Negate: o.neg, Text: o.text()}
	o.neg = false
	if states != 0 {
		either.Of = append(either.Of, []ruleset.Statement{anyBit(o, ruleset.CTState, states)})
	}
	either.Of = append(either.Of, []ruleset.Statement{anyBit(o, ruleset.CTStatus, status)})
	b.emit(either)
	return nil
}

func (b *builder) buildConntrackTest(o option) error {
	switch o.name {
	case "ctproto":
		n, err := protocolNumber(o.arg())
		if err != nil {
			return err
		}
		b.match(o, ruleset.CTProtocol, number(ruleset.CTProtocol, uint64(n), uint64(n)))
		return nil
	case "ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst":
		return b.buildTupleAddress(o)
	case "ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport":
		r, err := parsePorts(o.arg())
		if err != nil {
			return err
		}
		b.match(o, tuplePort(o.name), r)
		return nil
	case "ctstatus":
		return b.buildStatus(o)
	case "ctexpire":
		return b.buildExpire(o)
	case "ctdir":
		return b.buildDirection(o)
	}
	return ErrSyntax
}

func (b *builder) buildTupleAddress(o option) error {
	f := map[string]ruleset.Field{
		"ctorigsrc": ruleset.CTOrigSource, "ctorigdst": ruleset.CTOrigDest,
		"ctreplsrc": ruleset.CTReplySource, "ctrepldst": ruleset.CTReplyDest,
	}[o.name]
	address, mask, err := parseNetwork(b.family, o.arg())
	if err != nil {
		return err
	}
	if isZero(mask) {
		// Still it has to have a connection.
		m := compare(o, f, ruleset.Range{From: padded(f, nil), To: padded(f, nil)})
		m.Mask = padded(f, nil)
		b.emit(m)
		return nil
	}
	b.matchAddress(o, f, address, mask)
	return nil
}

func tuplePort(name string) ruleset.Field {
	switch name {
	case "ctorigsrcport":
		return ruleset.CTOrigSrcPort
	case "ctorigdstport":
		return ruleset.CTOrigDestPort
	case "ctreplsrcport":
		return ruleset.CTReplySrcPort
	}
	return ruleset.CTReplyDestPort
}

func (b *builder) buildStatus(o option) error {
	var status uint64
	for name := range strings.SplitSeq(o.arg(), ",") {
		switch strings.ToUpper(name) {
		case "NONE":
		case "EXPECTED":
			status |= netfilter.StatusExpected
		case "SEEN_REPLY":
			status |= netfilter.StatusSeenReply
		case "ASSURED":
			status |= netfilter.StatusAssured
		case "CONFIRMED":
			status |= netfilter.StatusConfirmed
		default:
			return fmt.Errorf("%q is no status: %w", name, ErrSyntax)
		}
	}
	b.matchAnyBit(o, ruleset.CTStatus, status)
	return nil
}

// buildExpire: the kernel compares whole seconds.
func (b *builder) buildExpire(o option) error {
	from, to, err := parseInterval(o.arg(), ":", math.MaxUint32)
	if err != nil {
		return err
	}
	last := min(to*1000+999, math.MaxUint32)
	b.match(o, ruleset.CTExpiration, number(ruleset.CTExpiration, min(from*1000, last), last))
	return nil
}

func (b *builder) buildDirection(o option) error {
	direction := uint64(0)
	switch strings.ToUpper(o.arg()) {
	case "ORIGINAL":
	case "REPLY":
		direction = 1
	default:
		return fmt.Errorf("%q is no direction: %w", o.arg(), ErrSyntax)
	}
	b.match(o, ruleset.CTDirection, number(ruleset.CTDirection, direction, direction))
	return nil
}

// buildConnmark is connmark_mt of xt_connmark.c.
func buildConnmark(b *builder, e *extension) error {
	for _, o := range e.options {
		value, mask, err := parseMasked(o.arg(), math.MaxUint32)
		if err != nil {
			return badValue(o, err)
		}
		b.matchMasked(o, ruleset.CTMark, mask, value)
	}
	return nil
}
