package calibrate

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// baseChains per hook, each before the next; the last has most rules and the
// policy drop.
const baseChains = 4

// ruleset builds one with every way to a verdict that compilers may treat
// apart: direct, after jumps, by verdict map, by reject, by policy after a
// chain that returned or by a return of its own.
type ruleset struct {
	conn    *nftables.Conn
	table   *nftables.Table
	expects map[uint16]Expect // by UDP port
	tagged  map[string]uint16 // rule's user data to port
	nextSet uint32
}

// nftRuleset loads the rules and returns what each port's packet will die of.
func nftRuleset(fd int) (map[uint16]Expect, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(fd))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	r := &ruleset{
		conn:    conn,
		expects: make(map[uint16]Expect),
		tagged:  make(map[string]uint16),
	}
	r.table = conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "droptrace"})
	for _, h := range []struct {
		name string
		hook *nftables.ChainHook
		port uint16
	}{{"out", nftables.ChainHookOutput, 1000}, {"in", nftables.ChainHookInput, 2000}} {
		if err := r.addHook(h.name, h.hook, h.port); err != nil {
			return nil, err
		}
	}
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("load calibration rules: %w", err)
	}
	return r.expects, r.readHandles()
}

// addHook fills one hook; its packets go to port and the ports after it.
func (r *ruleset) addHook(name string, hook *nftables.ChainHook, port uint16) error {
	accept, drop := nftables.ChainPolicyAccept, nftables.ChainPolicyDrop
	var last *nftables.Chain
	for i := range baseChains {
		policy := &accept
		if i == baseChains-1 {
			policy = &drop
		}
		last = r.conn.AddChain(&nftables.Chain{
			Table: r.table, Name: fmt.Sprintf("%s%d", name, i), Type: nftables.ChainTypeFilter,
			Hooknum: hook, Priority: nftables.ChainPriorityRef(nftables.ChainPriority(i)),
			Policy: policy,
		})
		r.dropRule(last, port+100+uint16(i), i)
	}
	return r.addLast(name, last, port)
}

func (r *ruleset) addLast(name string, last *nftables.Chain, port uint16) error {
	user := func(suffix string) *nftables.Chain {
		return r.conn.AddChain(&nftables.Chain{Table: r.table, Name: name + suffix})
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
	r.rule(back, match(port+4), []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}})
	r.expects[port+4] = Expect{Index: index}
	r.expects[port+5] = Expect{Index: index} // no rule: the policy
	r.rule(last, match(port+9), []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}})
	r.expects[port+9] = Expect{Index: index} // that of a base chain ends in its policy

	reject := []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 3}}
	r.dropper(last, match(port+6), reject, port+6, index)
	if err := r.verdictMap(last, one, port, index); err != nil {
		return err
	}
	r.dropRule(one, port+8, index)

	// What goes on to the input hook, and the answers of reject.
	r.rule(last, l4proto(unix.IPPROTO_ICMP), accept())
	r.rule(last, []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: binary.BigEndian.AppendUint16(nil, 2000)},
	}, outputOnly(name))
	return nil
}

func outputOnly(name string) []expr.Any {
	if name == "out" {
		return accept()
	}
	return []expr.Any{&expr.Counter{}}
}

// verdictMap adds `udp dport vmap { port+7 : drop, port+8 : jump one }`.
func (r *ruleset) verdictMap(chain, target *nftables.Chain, port uint16, index int) error {
	r.nextSet++
	set := &nftables.Set{
		Table: r.table, ID: r.nextSet, Name: fmt.Sprintf("map%d", r.nextSet), IsMap: true,
		KeyType: nftables.TypeInetService, DataType: nftables.TypeVerdict,
	}
	key := func(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }
	err := r.conn.AddSet(set, []nftables.SetElement{
		{Key: key(port + 7), VerdictData: &expr.Verdict{Kind: expr.VerdictDrop}},
		{Key: key(port + 8), VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: target.Name}},
	})
	if err != nil {
		return fmt.Errorf("add verdict map: %w", err)
	}
	lookup := append(l4proto(unix.IPPROTO_UDP),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: 1, IsDestRegSet: true, SetID: set.ID, SetName: set.Name})
	r.dropper(chain, lookup, nil, port+7, index)
	return nil
}

func (r *ruleset) rule(chain *nftables.Chain, match, verdict []expr.Any) {
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: chain, Exprs: append(match, verdict...)})
}

func (r *ruleset) dropRule(chain *nftables.Chain, port uint16, index int) {
	r.dropper(chain, match(port), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}, port, index)
}

// dropper adds a rule that the port's packet dies of, tagged with the port so
// that its handle can be found.
func (r *ruleset) dropper(chain *nftables.Chain, match, verdict []expr.Any, port uint16, index int) {
	tag := fmt.Sprintf("droptrace %d", port)
	r.conn.AddRule(&nftables.Rule{
		Table: r.table, Chain: chain, Exprs: append(match, verdict...), UserData: []byte(tag),
	})
	r.tagged[tag] = port
	r.expects[port] = Expect{Index: index}
}

func (r *ruleset) readHandles() error {
	chains, err := r.conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return fmt.Errorf("list calibration chains: %w", err)
	}
	for _, c := range chains {
		rules, err := r.conn.GetRules(r.table, c)
		if err != nil {
			return fmt.Errorf("list calibration chain %s: %w", c.Name, err)
		}
		for _, rule := range rules {
			port, ok := r.tagged[string(rule.UserData)]
			if !ok {
				continue
			}
			r.expects[port] = Expect{Handle: rule.Handle, Index: r.expects[port].Index}
			delete(r.tagged, string(rule.UserData))
		}
	}
	// A rule taken for a policy would teach the wrong call site.
	if len(r.tagged) > 0 {
		return fmt.Errorf("list calibration rules: %d not found", len(r.tagged))
	}
	return nil
}

func l4proto(proto byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
	}
}

func match(port uint16) []expr.Any {
	return append(l4proto(unix.IPPROTO_UDP),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)})
}

func jump(to *nftables.Chain) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: to.Name}}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }
