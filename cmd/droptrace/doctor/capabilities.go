package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/output"
	"github.com/droptrace/droptrace/cmd/droptrace/source"
	"github.com/droptrace/droptrace/resolve/host/distribution"
	"github.com/droptrace/droptrace/resolve/host/netns"
	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/host/symbol"
	"github.com/droptrace/droptrace/resolve/live"
	"github.com/droptrace/droptrace/tracer"
)

// systemFacts names the kernel and the user.
func systemFacts() (*output.System, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("name the kernel: %w", err)
	}
	missing, err := source.MissingPrivileges()
	return &output.System{
		Kernel:       unix.ByteSliceToString(u.Release[:]),
		Architecture: unix.ByteSliceToString(u.Machine[:]),
		Droptrace:    console.Version(),
		UID:          os.Getuid(),
		Missing:      missing,
	}, err
}

// abilities gathers capabilities.
type abilities []output.Capability

func (r *abilities) add(kind, name string, a output.Ability, message, get string) {
	*r = append(*r, output.Capability{Kind: kind, Name: name, Ability: a, Message: message, Get: get})
}

// capabilities finds out by trying, which needs root; without it, what can be
// seen from outside.
func capabilities(ctx context.Context) []output.Capability {
	var r abilities
	types, btfErr := r.types()
	symbols, symErr := symbol.Open()
	if symErr != nil && os.Getuid() == 0 {
		r.add("kernel", "symbols", output.Cannot, "hooks, rules and places of drops are not told: "+symErr.Error(),
			"CAP_SYSLOG, and kernel.kptr_restrict below 2")
		symbols, symErr = symbol.Hidden(), nil
	}
	if symErr == nil {
		defer symbols.Close()
	}
	if err := errors.Join(btfErr, symErr); err != nil {
		r.untried(err)
	} else {
		c := tracer.Examine(ctx, tracer.Options{BTF: types, Symbols: live.Symbols(symbols.Table())})
		r.tracing(&c)
		r.methods(&c)
		r.missing(&c)
	}
	r.programs(ctx)
	return r
}

// types looks for the kernel's description of itself.
func (r *abilities) types() (*btf.Cache, error) {
	types := btf.NewCache()
	if _, err := types.Kernel(); err != nil {
		r.add("kernel", "BTF", output.Cannot, "the kernel does not describe its types: droptrace cannot trace here",
			"a kernel with CONFIG_DEBUG_INFO_BTF=y, 5.10 or later")
		return nil, err
	}
	message := "the kernel describes its types"
	if modules := moduleTypes(); len(modules) > 0 {
		message += ", and those of modules (" + strings.Join(modules, ", ") + ")"
	}
	r.add("kernel", "BTF", output.Can, message, "")
	return types, nil
}

// moduleTypes lists the firewall's modules that have BTF of their own.
func moduleTypes() []string {
	entries, err := os.ReadDir("/sys/kernel/btf")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if slices.Contains([]string{"nf_tables", "x_tables", "ip_tables", "ip6_tables", "nf_conntrack", "nf_nat"}, e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// untried says that nothing could be tried.
func (r *abilities) untried(err error) {
	get := ""
	switch {
	case os.Getuid() != 0:
		get = "run it as root: sudo droptrace doctor"
	case errors.Is(err, symbol.ErrHidden):
		get = "CAP_SYSLOG, and kernel.kptr_restrict below 2"
	}
	r.add("probe", "tracepoint", output.Untried, err.Error(), get)
}

// tracing tells the probes apart.
func (r *abilities) tracing(c *tracer.Capabilities) {
	if c.Tracepoint != nil {
		get := ""
		if errors.Is(c.Tracepoint, unix.EPERM) || errors.Is(c.Tracepoint, unix.EACCES) {
			get = "run it as root: sudo droptrace doctor"
		}
		r.add("probe", "tracepoint", output.Cannot, "no drop can be seen: "+c.Tracepoint.Error(), get)
		return
	}
	reasons := "skb:kfree_skb sees every drop, with the kernel's reason"
	if !c.Reasons {
		reasons = "skb:kfree_skb sees every drop; this kernel gives no reasons (they came with 5.17)"
	}
	r.add("probe", "tracepoint", output.Can, reasons, "")
	r.kind("fentry", c.Fentry, "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y")
	r.kind("kprobe", kprobeError(c.Kprobe), "CONFIG_KPROBES=y and CONFIG_KPROBE_EVENTS=y")
	r.expressions(c)
	if c.XT != nil {
		r.add("probe", "x_tables", output.Cannot, "legacy tables cannot be found in the kernel: "+c.XT.Error(), "")
	}
}

// missing are the parts that the kernel does not have, with what that costs.
func (r *abilities) missing(c *tracer.Capabilities) {
	for i, n := range c.Notices {
		r.add("kernel", fmt.Sprintf("part %d", i+1), output.Cannot, n, "")
	}
}

// kind is one kind of probe, tried on nf_hook_slow.
func (r *abilities) kind(name string, err error, get string) {
	if err == nil {
		r.add("probe", name, output.Can, "probes of this kind can be attached", "")
		return
	}
	r.add("probe", name, output.Cannot, lastCause(err), "a kernel with "+get)
}

// kprobeError names the plain case, which the library's way through several
// interfaces hides.
func kprobeError(err error) error {
	if err == nil {
		return nil
	}
	if _, e := os.Stat("/sys/bus/event_source/devices/kprobe"); errors.Is(e, os.ErrNotExist) {
		return errors.New("this kernel has no kprobes that a program may use")
	}
	return err
}

// lastCause is the kernel's own answer, without the way to it.
func lastCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// expressions says how many of nft's drop-yielding expressions have a probe.
func (r *abilities) expressions(c *tracer.Capabilities) {
	var with, without int
	var first string
	for _, p := range c.Probes {
		switch {
		case !p.Expression:
		case p.Err == nil:
			with++
		default:
			if without++; first == "" {
				first = p.Function
			}
		}
	}
	switch {
	case with+without == 0: // nf_tables is not loaded
	case without == 0:
		r.add("probe", "nftables expressions", output.Can, fmt.Sprintf("all %d that can drop can be probed", with), "")
	case with == 0:
		r.add("probe", "nftables expressions", output.Cannot, fmt.Sprintf("none of %d can be probed", without), "")
	default:
		r.add("probe", "nftables expressions", output.Partly,
			fmt.Sprintf("%d of %d can be probed, not %s", with, with+without, first), "")
	}
}

// methods are the design's ways to a drop's rule.
func (r *abilities) methods(c *tracer.Capabilities) {
	if c.Tracepoint != nil {
		return
	}
	frame := c.NFTSites >= 2
	r.nftMethods(c, frame)
	reject, ok := c.Probe("reject_tg")
	switch {
	case !ok:
		r.add("method", "xt-target", output.Untried, "iptables-legacy's REJECT is not in the kernel now", "")
	case reject.Err == nil:
		r.add("method", "xt-target", output.Can, "iptables-legacy's REJECT, certain", "")
	default:
		r.add("method", "xt-target", output.Cannot, "no probe on REJECT: xt-counter names it instead", "")
	}
	if c.XT == nil {
		r.add("method", "xt-counter", output.Can, "rules and policies of iptables-legacy, certain where one counter moved", "")
	} else {
		r.add("method", "xt-counter", output.Cannot, "rules of iptables-legacy stay unknown", "")
	}
	if frame || c.EveryExpression() {
		r.add("method", "policy", output.Can, "policies of nftables and iptables-nft, certain", "")
	} else if c.NFTables {
		r.add("method", "policy", output.Partly, "policies of nftables are told as probable", "")
	}
	if hook, _ := c.Probe("nf_hook_slow"); c.HookSites > 0 || hook.How != "" {
		r.add("method", "hook", output.Can, "hooks without rules (conntrack, IPVS, BPF), by their function's name", "")
	} else {
		r.add("method", "hook", output.Partly, "the function of a hook without rules may stay unknown", "")
	}
	r.add("method", "replay", output.Can, "where none of these tells, the rules are evaluated: probable at best", "")
}

func (r *abilities) nftMethods(c *tracer.Capabilities, frame bool) {
	if !c.NFTables {
		r.add("method", "nftables", output.Untried, "nf_tables is not in the kernel now; it is examined when it comes", "")
		return
	}
	every := c.EveryExpression()
	switch {
	case every:
		r.add("method", "nft-expression", output.Can, "rules of nftables and iptables-nft, certain", "")
	case frame:
		r.add("method", "nft-expression", output.Cannot, "not every expression can be probed: nft-frame names the rule instead", "")
	default:
		r.add("method", "nft-expression", output.Cannot, "not every expression can be probed: rules of nftables may stay unknown",
			"a kernel with CONFIG_KPROBES=y")
	}
	switch {
	case frame:
		r.add("method", "nft-frame", output.Can,
			"rules of nftables and iptables-nft without a probe, certain where one candidate fits", "")
	case c.InPlace:
		r.add("method", "nft-frame", output.Partly, "rule and policy could not be told apart by where nft drops", "")
	default:
		r.add("method", "nft-frame", output.Cannot, "nft does not drop in place in this kernel, or it could not be calibrated"+
			noticed(c.Notices), "")
	}
}

func noticed(notices []string) string {
	if len(notices) == 0 {
		return ""
	}
	return " (" + notices[0] + ")"
}

// programs are those that print rules in their own words.
func (r *abilities) programs(ctx context.Context) {
	for _, part := range program.Missing() {
		r.add("program", "cage", output.Partly, part, "")
	}
	for _, p := range [...]struct{ name, lost string }{
		{"nft", "the text of nftables rules"},
		{"iptables-nft-save", "the text of iptables-nft rules"},
		{"iptables-legacy-save", "the text of iptables-legacy rules, where there are any"},
	} {
		switch err := runs(ctx, p.name); {
		case errors.Is(err, program.ErrNotInstalled):
			r.add("program", p.name, output.Cannot, "not installed: "+p.lost+" stays unknown", distribution.Here().Install(p.name))
		case err != nil && os.Getuid() == 0:
			r.add("program", p.name, output.Cannot, p.lost+" stays unknown: "+err.Error(), cannotLimit(err))
		}
	}
}

// runs runs a program as it is run for the text of a rule: what keeps it from that is
// found now, and not at the first drop.
func runs(ctx context.Context, name string) error {
	path, err := program.Runner{}.Find(name)
	if err != nil {
		return err
	}
	own, err := netns.Current()
	if err != nil {
		return err
	}
	h, err := netns.Open(own)
	if err != nil {
		return err
	}
	defer h.Close()
	_, err = program.Runner{}.Run(ctx, program.Command{Path: path, Args: []string{"--version"}, Namespace: h})
	return err
}

// cannotLimit is what to do about a program that may not be limited: its user is not
// ours, and Yama forbids to trace it.
func cannotLimit(err error) string {
	if errors.Is(err, unix.EPERM) {
		return "CAP_SYS_RESOURCE, or kernel.yama.ptrace_scope below 3"
	}
	return ""
}
