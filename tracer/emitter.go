package tracer

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Forms of the program on the tracepoint. The last looks for no hook and no rule.
const (
	emitter         = "kfree_skb"
	emitterPages    = "kfree_skb_pages"
	emitterUnrolled = "kfree_skb_unrolled"
	emitterPlain    = "kfree_skb_plain"
)

// loadEmitter loads the first of these forms that the kernel takes, else what is left
// of one without the parts that it refuses.
func (k *kernelSide) loadEmitter(forms []string) error {
	err := k.loadOne(forms)
	if err != nil && k.parts.find(k.machine, k.spec) {
		k.parts.leaveOut(k.spec)
		err = k.loadOne(forms)
	}
	if err != nil {
		why := err
		if err = k.loadOne([]string{emitterPlain}); err == nil {
			k.parts.plain = true
			k.parts.notices = append(k.parts.notices, fmt.Sprintf(
				"neither hooks nor rules are told: the kernel refuses the program that looks for them: %v", refused(why)))
		}
	}
	if err != nil && errors.Is(k.machine.helper(asm.FnProbeReadKernel), ebpf.ErrNotSupported) {
		return fmt.Errorf("%w: %w", ErrNoReads, refused(err))
	}
	if err != nil {
		return err
	}
	// Each takes megabytes, and none is loaded twice.
	for _, form := range []string{emitter, emitterPages, emitterUnrolled, emitterPlain} {
		delete(k.spec.Programs, form)
	}
	if k.Companion, err = k.loadProbe("companion", ""); err != nil {
		k.Companion = nil // calibration goes without
	}
	return nil
}

func (k *kernelSide) loadOne(forms []string) (err error) {
	for _, form := range forms {
		coll := only(k.spec, form) // others are loaded one by one
		if err = k.relocate(coll); err != nil {
			continue
		}
		k.coll, err = k.machine.load(coll, ebpf.CollectionOptions{Cache: k.types.Load()})
		if err != nil {
			err = fmt.Errorf("load programs: %w", err)
			continue
		}
		k.Free = k.coll.Programs[form]
		return k.parts.fill(k.coll)
	}
	return err
}

// chooseEmitters names the forms that this kernel may take, the best first: bpf_loop
// came with 5.17, and from 6.12 on a tracepoint may read the pages of a packet. The
// function for it is older, so that only loading tells.
func chooseEmitters(o *Options, spec *btf.Spec) []string {
	if errors.Is(o.kernel().helper(asm.FnLoop), ebpf.ErrNotSupported) {
		return []string{emitterUnrolled}
	}
	wantsPages := o.snaplen() > 0 || o.Expression != nil
	if wantsPages && hasFunction(spec, "bpf_dynptr_from_skb") {
		return []string{emitterPages, emitter, emitterUnrolled}
	}
	return []string{emitter, emitterUnrolled}
}
