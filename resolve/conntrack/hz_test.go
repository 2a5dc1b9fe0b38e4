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

func TestMeasureHZ(t *testing.T) {
	const second = 1_000_000_000
	tests := []struct {
		name   string
		t1, t2 uint64
		j1, j2 uint32
		want   int
	}{
		{"250", 5 * second, 7 * second, 1000, 1500, 250},
		{"250, two ticks late", 5 * second, 6 * second, 1000, 1248, 250},
		{"300 is not 250", 0, 2 * second, 0, 600, 300},
		{"1000 across the wrap", 0, 3 * second, 0xffffff00, 0xffffff00 + 3000 - 1<<32, 1000},
		{"100 over an hour", 0, 3600 * second, 7, 7 + 360000, 100},
		{"too close", 0, second / 2, 0, 125, 0},
		{"too far", 0, 30 * 24 * 3600 * second, 0, 1, 0},
		{"the other way round", 2 * second, 1 * second, 250, 0, 0},
		{"no known rate", 0, 2 * second, 0, 400, 0},
		{"stands still", 0, 2 * second, 9, 9, 0},
	}
	for _, tt := range tests {
		hz, ok := MeasureHZ(tt.t1, tt.t2, tt.j1, tt.j2)
		if hz != tt.want || ok != (tt.want != 0) {
			t.Errorf("%s: %d, %v, want %d", tt.name, hz, ok, tt.want)
		}
	}
}
