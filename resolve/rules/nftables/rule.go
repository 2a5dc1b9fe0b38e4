package nftables

import (
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/resolve/rules/nftables/internal/nlattr"
)

// Types of the TLVs in a rule's userdata; they are user space's own, the
// kernel only keeps them.
const (
	userdataComment       = 0 // libnftnl: NFTNL_UDATA_RULE_COMMENT
	userdataEbtablePolicy = 1 // libnftnl: NFTNL_UDATA_RULE_EBTABLES_POLICY
)

// ruleMessage is one NFT_MSG_NEWRULE. It is filled again for every rule of a
// dump, and its slices alias the message.
type ruleMessage struct {
	table, chain []byte
	handle       uint64
	comment      []byte
	outcome
	shape

	// ebtablesPolicy marks the hidden last rule by which ebtables-nft gives
	// a user-defined chain a policy.
	ebtablesPolicy bool
}

// outcome is what evaluating a rule can come to, as far as the rule's own
// bytes tell. What its sets add is told by refs.
type outcome struct {
	canDrop, rejects, queues bool

	// targets are the chains that the rule jumps or goes to.
	targets [][]byte
	// anyTarget: it jumps to a chain that the message does not name.
	anyTarget bool

	// refs are the sets and maps that have a say in the verdict.
	refs []setRef

	// compat: x_tables' code has a part in it, which only iptables-nft writes.
	compat bool
}

// setRef is a rule's use of a set.
type setRef struct {
	name []byte
	kind refKind
}

type refKind uint8

const (
	refLookup  refKind = iota // membership, or a map to data
	refVerdict                // a verdict map
	refUpdate                 // the packet path adds elements, with harmless expressions
	refLimit                  // … with expressions that can drop
	refObject                 // a map to stateful objects
)

func (r *ruleMessage) reset() {
	targets, refs := r.targets[:0], r.refs[:0]
	*r = ruleMessage{}
	r.targets, r.refs = targets, refs
}

// decodeRule reads b, the attributes of a message of that family, into r.
func decodeRule(family uint8, b []byte, r *ruleMessage) error {
	r.reset()
	a := nlattr.Walk(b)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_RULE_TABLE:
			r.table = a.Text()
		case unix.NFTA_RULE_CHAIN:
			r.chain = a.Text()
		case unix.NFTA_RULE_HANDLE:
			r.handle = a.Uint64()
		case unix.NFTA_RULE_EXPRESSIONS:
			a.Nested(func(a *nlattr.Attrs) {
				if a.Type == unix.NFTA_LIST_ELEM {
					r.expression(family, a)
				}
			})
		case unix.NFTA_RULE_USERDATA:
			r.userdata(a.Data)
		}
	}
	return a.Err()
}

// expression reads one element of NFTA_RULE_EXPRESSIONS.
func (r *ruleMessage) expression(family uint8, a *nlattr.Attrs) {
	name, data, ok := nlattr.Expression(a)
	if !ok {
		return
	}
	if string(name) == "match" && r.comment == nil {
		// iptables keeps a rule's comment in a match that matches always.
		r.comment = xtComment(data)
	}
	r.evaluate(name, data, a)
	r.shape.add(family, name, data, a)
}

// userdata reads the TLVs (one byte of type, one of length) that programs leave
// beside a rule. Any program may leave any bytes there, so what does not parse
// is no error.
func (r *ruleMessage) userdata(b []byte) {
	for len(b) >= 2 {
		typ, length := b[0], int(b[1])
		if b = b[2:]; length > len(b) {
			return
		}
		switch typ {
		case userdataComment:
			r.comment = nlattr.UntilNUL(b[:length])
		case userdataEbtablePolicy:
			r.ebtablesPolicy = true
		}
		b = b[length:]
	}
}

// xtComment is the text of `-m comment`: the match's info is a struct
// xt_comment_info, a string of 256 bytes. It is nil for any other match.
func xtComment(match []byte) []byte {
	var name, info []byte
	a := nlattr.Walk(match)
	for a.Next() {
		switch a.Type {
		case unix.NFTA_MATCH_NAME:
			name = a.Text()
		case unix.NFTA_MATCH_INFO:
			info = a.Data
		}
	}
	if string(name) != "comment" {
		return nil
	}
	return nlattr.UntilNUL(info)
}
