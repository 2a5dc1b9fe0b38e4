package scratch

import (
	"errors"
	"testing"
)

// LED triggers and idle timers are the machine's, whatever namespace asks for them.
func TestExtensionsThatReachOutsideAreRefused(t *testing.T) {
	for _, input := range []string{
		"-A INPUT -j LED --led-trigger-id x", "-A INPUT -jLED --led-trigger-id x", "-A INPUT -nj LED", "-A INPUT --jump=LED",
		"-A INPUT --ju IDLETIMER --timeout 5 --label x", "-A INPUT -m bpf --bytecode 1,6", "-A INPUT -mbpf", "-A INPUT --match bpf",
		"*filter\n-A INPUT -p tcp -m \"bpf\" --object-pinned /x -j DROP\nCOMMIT\n",
	} {
		if err := allowedExtensions(namedExtensions(input)); !errors.Is(err, ErrExtension) {
			t.Errorf("%s: %v", input, err)
		}
	}
	for _, input := range []string{
		"-A INPUT -m comment --comment LED -j DROP", "-N LED", "-A LEDGER -j bpfchain", "-A INPUT -j LEDs", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT",
	} {
		if err := allowedExtensions(namedExtensions(input)); err != nil {
			t.Errorf("%s: %v", input, err)
		}
	}
}
