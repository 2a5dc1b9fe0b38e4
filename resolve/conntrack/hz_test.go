package conntrack

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"
)

func TestParseConfig(t *testing.T) {
	tests := []struct {
		name, config string
		want         int // 0: an error
	}{
		{"set", "# CONFIG_HZ_100 is not set\nCONFIG_HZ_250=y\nCONFIG_HZ=250\nCONFIG_X=y\n", 250},
		{"no newline", "CONFIG_HZ=1000", 1000},
		{"absent", "CONFIG_HZ_PERIODIC=y\n", 0},
		{"empty", "", 0},
		{"no number", "CONFIG_HZ=fast\n", 0},
		{"absurd", "CONFIG_HZ=0\n", 0},
	}
	for _, tt := range tests {
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		z.Write([]byte(tt.config))
		z.Close()
		for kind, config := range map[string]string{"plain": tt.config, "gzip": zipped.String()} {
			hz, err := parseConfig(strings.NewReader(config))
			if hz != tt.want || (err == nil) != (tt.want != 0) {
				t.Errorf("%s, %s: %d, %v, want %d", tt.name, kind, hz, err, tt.want)
			}
		}
	}
	if _, err := parseConfig(strings.NewReader("\x1f\x8bbroken")); err == nil {
		t.Error("broken gzip: no error")
	}
}

func TestHZOfThisKernel(t *testing.T) {
	hz, err := HZ()
	if errors.Is(err, ErrNoHZ) {
		t.Skip(err)
	}
	if err != nil || !plausible(hz) {
		t.Errorf("HZ() = %d, %v", hz, err)
	}
}
