package calibrate

import (
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// baseChains per hook, each before the next; the last has most rules and the
	// policy drop.
	baseChains = 4
	tableName  = "droptrace"

	drop, accept = 0, 1 // NF_DROP, NF_ACCEPT
)

// ruleset builds one with every way to a verdict that compilers may treat
// apart: direct, after jumps, by verdict map, by reject, by policy after a
// chain that returned or by a return of its own.
type ruleset struct {
	transaction
	expects map[uint16]Expect // by UDP port
	tagged  map[string]uint16 // rule's user data to port
	nextSet uint32
}

// nftRuleset loads the rules into the calling thread's namespace and returns what
// each port's packet will die of.
func nftRuleset() (map[uint16]Expect, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open netlink netfilter: %w", err)
	}
	defer conn.Close()
	r := &ruleset{expects: make(map[uint16]Expect), tagged: make(map[string]uint16)}
	r.add(unix.NFT_MSG_NEWTABLE, 0, func(ae *netlink.AttributeEncoder) error {
		ae.String(unix.NFTA_TABLE_NAME, tableName)
		return nil
	})
	r.addHook("out", unix.NF_INET_LOCAL_OUT, 1000)
	r.addHook("in", unix.NF_INET_LOCAL_IN, 2000)
	if err := r.commit(conn); err != nil {
		return nil, err
	}
	return r.expects, r.readHandles(conn)
}

// addHook fills one hook; its packets go to port and the ports after it.
func (r *ruleset) addHook(name string, hook uint32, port uint16) {
	var last string
	for i := range baseChains {
		last = fmt.Sprintf("%s%d", name, i)
		policy := uint32(accept)
		if i == baseChains-1 {
			policy = drop
		}
		r.chain(last, func(ae *netlink.AttributeEncoder) error {
			ae.Nested(unix.NFTA_CHAIN_HOOK, func(ae *netlink.AttributeEncoder) error {
				ae.Uint32(unix.NFTA_HOOK_HOOKNUM, hook)
				ae.Uint32(unix.NFTA_HOOK_PRIORITY, uint32(i))
				return nil
			})
			ae.Uint32(unix.NFTA_CHAIN_POLICY, policy)
			ae.String(unix.NFTA_CHAIN_TYPE, "filter")
			return nil
		})
		r.dropRule(last, port+100+uint16(i), i)
	}
	r.addLast(name, last, port)
}

func (r *ruleset) addLast(name, last string, port uint16) {
	user := func(suffix string) string {
		r.chain(name+suffix, nil)
		return name + suffix
	}
	const index = baseChains - 1
	one, two, deep, back := user("one"), user("two"), user("deep"), user("back")

	r.dropRule(last, port+1, index)
	r.rule(last, match(port+2), jump(one))
	r.dropRule(one, port+2, index)
	r.rule(last, match(port+3), jump(two))
	r.rule(two, match(port+3), jump(deep))
	r.dropRule(deep, port+3, index)
	r.rule(last, match(port+4), jump(back))
	r.rule(back, match(port+4), verdict(unix.NFT_RETURN, ""))
	r.expects[port+4] = Expect{Index: index}
	r.expects[port+5] = Expect{Index: index} // no rule: the policy
	r.rule(last, match(port+9), verdict(unix.NFT_RETURN, ""))
	r.expects[port+9] = Expect{Index: index} // that of a base chain ends in its policy

	r.dropper(last, append(match(port+6), reject()), port+6, index)
	r.verdictMap(last, one, port, index)
	r.dropRule(one, port+8, index)

	// What goes on to the input hook, and the answers of reject.
	r.rule(last, l4proto(unix.IPPROTO_ICMP), verdict(accept, ""))
	fromInput := []statement{loadPort(), compare(unix.NFT_CMP_GTE, bigEndian(2000))}
	if name == "out" {
		r.rule(last, fromInput, verdict(accept, ""))
	} else {
		r.rule(last, fromInput, counter())
	}
}

// verdictMap adds `udp dport vmap { port+7 : drop, port+8 : jump one }`.
func (r *ruleset) verdictMap(chain, target string, port uint16, index int) {
	r.nextSet++
	id, name := r.nextSet, fmt.Sprintf("map%d", r.nextSet)
	r.add(unix.NFT_MSG_NEWSET, 0, func(ae *netlink.AttributeEncoder) error {
		ae.String(unix.NFTA_SET_TABLE, tableName)
		ae.String(unix.NFTA_SET_NAME, name)
		ae.Uint32(unix.NFTA_SET_FLAGS, unix.NFT_SET_MAP)
		ae.Uint32(unix.NFTA_SET_KEY_LEN, 2)
		ae.Uint32(unix.NFTA_SET_DATA_TYPE, unix.NFT_DATA_VERDICT)
		ae.Uint32(unix.NFTA_SET_ID, id)
		return nil
	})
	element := func(port uint16, to attributes) attributes {
		return func(ae *netlink.AttributeEncoder) error {
			ae.Nested(unix.NFTA_SET_ELEM_KEY, value(bigEndian(port)))
			ae.Nested(unix.NFTA_SET_ELEM_DATA, to)
			return nil
		}
	}
	r.add(unix.NFT_MSG_NEWSETELEM, 0, func(ae *netlink.AttributeEncoder) error {
		ae.String(unix.NFTA_SET_ELEM_LIST_TABLE, tableName)
		ae.String(unix.NFTA_SET_ELEM_LIST_SET, name)
		ae.Uint32(unix.NFTA_SET_ELEM_LIST_SET_ID, id)
		ae.Nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(ae *netlink.AttributeEncoder) error {
			ae.Nested(unix.NFTA_LIST_ELEM, element(port+7, verdictData(drop, "")))
			ae.Nested(unix.NFTA_LIST_ELEM, element(port+8, verdictData(unix.NFT_JUMP, target)))
			return nil
		})
		return nil
	})
	lookup := append(l4proto(unix.IPPROTO_UDP), loadPort(), lookupVerdict(name, id))
	r.dropper(chain, lookup, port+7, index)
}

// chain adds one; hook is nil for one that rules jump to.
func (r *ruleset) chain(name string, hook attributes) {
	r.add(unix.NFT_MSG_NEWCHAIN, 0, func(ae *netlink.AttributeEncoder) error {
		ae.String(unix.NFTA_CHAIN_TABLE, tableName)
		ae.String(unix.NFTA_CHAIN_NAME, name)
		if hook == nil {
			return nil
		}
		return hook(ae)
	})
}

func (r *ruleset) rule(chain string, match []statement, last statement) {
	r.addRule(chain, append(match, last), "")
}

func (r *ruleset) addRule(chain string, statements []statement, tag string) {
	r.add(unix.NFT_MSG_NEWRULE, netlink.Append, func(ae *netlink.AttributeEncoder) error {
		ae.String(unix.NFTA_RULE_TABLE, tableName)
		ae.String(unix.NFTA_RULE_CHAIN, chain)
		if tag != "" {
			ae.Bytes(unix.NFTA_RULE_USERDATA, []byte(tag))
		}
		ae.Nested(unix.NFTA_RULE_EXPRESSIONS, func(ae *netlink.AttributeEncoder) error {
			for _, s := range statements {
				ae.Nested(unix.NFTA_LIST_ELEM, func(ae *netlink.AttributeEncoder) error {
					ae.String(unix.NFTA_EXPR_NAME, s.name)
					ae.Nested(unix.NFTA_EXPR_DATA, s.fill)
					return nil
				})
			}
			return nil
		})
		return nil
	})
}

func (r *ruleset) dropRule(chain string, port uint16, index int) {
	r.dropper(chain, append(match(port), verdict(drop, "")), port, index)
}

// dropper adds a rule that the port's packet dies of, tagged with the port so
// that its handle can be found.
func (r *ruleset) dropper(chain string, statements []statement, port uint16, index int) {
	tag := fmt.Sprintf("droptrace %d", port)
	r.addRule(chain, statements, tag)
	r.tagged[tag] = port
	r.expects[port] = Expect{Index: index}
}

// readHandles asks for the handles that the kernel has given to the rules.
func (r *ruleset) readHandles(conn *netlink.Conn) error {
	rules, err := conn.Execute(message(unix.NFT_MSG_GETRULE, netlink.Dump, nil))
	if err != nil {
		return fmt.Errorf("list calibration rules: %w", err)
	}
	for _, m := range rules {
		if len(m.Data) < nfgenmsgLen {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[nfgenmsgLen:])
		if err != nil {
			return fmt.Errorf("list calibration rules: %w", err)
		}
		ad.ByteOrder = binary.BigEndian
		var handle uint64
		var tag string
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_RULE_HANDLE:
				handle = ad.Uint64()
			case unix.NFTA_RULE_USERDATA:
				tag = string(ad.Bytes())
			}
		}
		if err := ad.Err(); err != nil {
			return fmt.Errorf("list calibration rules: %w", err)
		}
		if port, ok := r.tagged[tag]; ok {
			r.expects[port] = Expect{Handle: handle, Index: r.expects[port].Index}
			delete(r.tagged, tag)
		}
	}
	// A rule taken for a policy would teach the wrong call site.
	if len(r.tagged) > 0 {
		return fmt.Errorf("list calibration rules: %d not found", len(r.tagged))
	}
	return nil
}

func l4proto(proto byte) []statement {
	return []statement{metaL4proto(), compare(unix.NFT_CMP_EQ, []byte{proto})}
}

func match(port uint16) []statement {
	return append(l4proto(unix.IPPROTO_UDP), loadPort(), compare(unix.NFT_CMP_EQ, bigEndian(port)))
}

func jump(to string) statement { return verdict(unix.NFT_JUMP, to) }

func bigEndian(port uint16) []byte { return binary.BigEndian.AppendUint16(nil, port) }
