package calibrate

import (
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// attributes adds some to a message of nf_tables, whose numbers are big-endian
// (uapi/linux/netfilter/nf_tables.h).
type attributes func(*netlink.AttributeEncoder) error

// statement is an nft expression of a rule.
type statement struct {
	name string
	fill attributes
}

// transaction gathers the messages of one batch, which the kernel takes as a whole
// or not at all.
type transaction struct {
	messages []netlink.Message
	err      error // the first
}

// add adds a message about family ip.
func (t *transaction) add(typ uint16, flags netlink.HeaderFlags, fill attributes) {
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	err := fill(ae)
	var b []byte
	if err == nil {
		b, err = ae.Encode()
	}
	if err != nil && t.err == nil {
		t.err = fmt.Errorf("encode calibration rules: %w", err)
	}
	t.messages = append(t.messages, message(typ, netlink.Create|flags, b))
}

const nfgenmsgLen = 4

// message of nf_tables, with its struct nfgenmsg.
func message(typ uint16, flags netlink.HeaderFlags, attrs []byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | typ),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{unix.NFPROTO_IPV4, unix.NFNETLINK_V0, 0, 0}, attrs...),
	}
}

// commit sends the batch. Only its last message is acknowledged: what was wrong
// with another comes first, what is wrong with all comes instead.
func (t *transaction) commit(conn *netlink.Conn) error {
	if t.err != nil || len(t.messages) == 0 {
		return t.err
	}
	t.messages[len(t.messages)-1].Header.Flags |= netlink.Acknowledge
	frame := func(typ netlink.HeaderType) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: typ, Flags: netlink.Request},
			Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
		}
	}
	all := append([]netlink.Message{frame(unix.NFNL_MSG_BATCH_BEGIN)}, t.messages...)
	if _, err := conn.SendMessages(append(all, frame(unix.NFNL_MSG_BATCH_END))); err != nil {
		return fmt.Errorf("send calibration rules: %w", err)
	}
	if _, err := conn.Receive(); err != nil {
		return fmt.Errorf("load calibration rules: %w", err)
	}
	return nil
}

// register 1, as every expression here uses it.
const register = unix.NFT_REG_1

func metaL4proto() statement {
	return statement{"meta", func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(unix.NFTA_META_DREG, register)
		ae.Uint32(unix.NFTA_META_KEY, unix.NFT_META_L4PROTO)
		return nil
	}}
}

// destination port of UDP.
func loadPort() statement {
	return statement{"payload", func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(unix.NFTA_PAYLOAD_DREG, register)
		ae.Uint32(unix.NFTA_PAYLOAD_BASE, unix.NFT_PAYLOAD_TRANSPORT_HEADER)
		ae.Uint32(unix.NFTA_PAYLOAD_OFFSET, 2)
		ae.Uint32(unix.NFTA_PAYLOAD_LEN, 2)
		return nil
	}}
}

func compare(op uint32, data []byte) statement {
	return statement{"cmp", func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(unix.NFTA_CMP_SREG, register)
		ae.Uint32(unix.NFTA_CMP_OP, op)
		ae.Nested(unix.NFTA_CMP_DATA, value(data))
		return nil
	}}
}

func value(data []byte) attributes {
	return func(ae *netlink.AttributeEncoder) error {
		ae.Bytes(unix.NFTA_DATA_VALUE, data)
		return nil
	}
}

// verdictData holds a code of enum nft_verdicts or NF_ACCEPT, NF_DROP.
func verdictData(code int32, chain string) attributes {
	return func(ae *netlink.AttributeEncoder) error {
		ae.Nested(unix.NFTA_DATA_VERDICT, func(ae *netlink.AttributeEncoder) error {
			ae.Uint32(unix.NFTA_VERDICT_CODE, uint32(code))
			if chain != "" {
				ae.String(unix.NFTA_VERDICT_CHAIN, chain)
			}
			return nil
		})
		return nil
	}
}

func verdict(code int32, chain string) statement {
	return statement{"immediate", func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		ae.Nested(unix.NFTA_IMMEDIATE_DATA, verdictData(code, chain))
		return nil
	}}
}

// reject answers with ICMP's port unreachable.
func reject() statement {
	return statement{"reject", func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(unix.NFTA_REJECT_TYPE, unix.NFT_REJECT_ICMP_UNREACH)
		ae.Uint8(unix.NFTA_REJECT_ICMP_CODE, 3)
		return nil
	}}
}

func counter() statement {
	return statement{"counter", func(*netlink.AttributeEncoder) error { return nil }}
}

// lookupVerdict asks a verdict map.
func lookupVerdict(set string, id uint32) statement {
	return statement{"lookup", func(ae *netlink.AttributeEncoder) error {
		ae.String(unix.NFTA_LOOKUP_SET, set)
		ae.Uint32(unix.NFTA_LOOKUP_SREG, register)
		ae.Uint32(unix.NFTA_LOOKUP_DREG, unix.NFT_REG_VERDICT)
		ae.Uint32(unix.NFTA_LOOKUP_SET_ID, id)
		return nil
	}}
}
