package conntrack

import "os"

// KprobeAdvice ends a sentence that asks for a probe: by the flag that attaches one,
// or by the word that this kernel has none.
func KprobeAdvice() string {
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); err != nil {
		return ", and this kernel has no kprobes"
	}
	return ": --probes kprobe"
}
