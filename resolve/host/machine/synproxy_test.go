package machine

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadSynproxy(t *testing.T) {
	const heading = "entries\t\tsyn_received\tcookie_invalid\tcookie_valid\tcookie_retrans\tconn_reopened\n"
	for name, tt := range map[string]struct {
		text string
		want Synproxy
		fail bool
	}{
		"two CPUs":  {heading + "00000000\t0000000a\t00000001\t00000002\t00000000\t00000000\n00000000\t00000006\t00000000\t00000001\t00000000\t00000000\n", Synproxy{SYNs: 16, Valid: 3, Invalid: 1}, false},
		"no CPU":    {heading, Synproxy{}, false},
		"cut":       {heading + "00000000\t0000000a\n", Synproxy{}, true},
		"no number": {heading + "0 x 0 0 0 0\n", Synproxy{}, true},
	} {
		path := filepath.Join(t.TempDir(), "synproxy")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readSynproxy(path)
		if got != tt.want || (err != nil) != tt.fail {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := readSynproxy(filepath.Join(t.TempDir(), "none")); got != (Synproxy{}) || err != nil {
		t.Errorf("no synproxy: %+v, %v", got, err)
	}
}
