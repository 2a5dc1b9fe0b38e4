// Package nftables reads the nf_tables ruleset of one network namespace: what
// nft wrote and what iptables-nft, ip6tables-nft, ebtables-nft and
// arptables-nft wrote.
//
// [Read] takes a [Snapshot]: tables, chains and rules with their handles and
// with what each rule can do to a packet, but not their texts. The structure
// comes straight from netlink, because google/nftables leaves expressions it
// does not know out without a word, and a rule that can drop must never look as
// if it could not. Texts are asked for chain by chain, from the programs that
// the user compares with (nft, iptables-nft-save), only when a drop needs them.
//
// [Snapshot.Model] reads the same once more with what each rule does, as the
// statements of package ruleset, and with the elements of sets: see
// internal/statement. It takes three times as long, so it too is for when
// somebody asks.
//
// A snapshot belongs to one generation of the ruleset. Handles are reused after
// a flush, so a text is handed out only while the kernel still has that very
// generation; otherwise [ErrChanged] asks the caller to read again.
//
// Looking changes nothing: no table, no chain, no module. Reading needs
// CAP_NET_ADMIN in the user namespace that owns the network namespace.
package nftables
