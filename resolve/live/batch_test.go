package live

import (
	"testing"
	"time"
)

func TestBatchesOnlyWhereDropsComeFastAndAreFresh(t *testing.T) {
	for _, tt := range []struct {
		name  string
		every time.Duration // between drops
		fresh bool
		want  int // batches in 1000 drops
	}{
		{"few drops", time.Millisecond, true, 0},
		{"many, read as they come", 10 * time.Microsecond, true, 1000 / batchDrops},
		{"many, and the ring holds more", 10 * time.Microsecond, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n batches
			now, took := time.Now(), 0
			for range 1000 {
				now = now.Add(tt.every)
				if n.due(now, func() bool { return tt.fresh }) {
					took++
				}
			}
			if took != tt.want {
				t.Errorf("%d batches, want %d", took, tt.want)
			}
		})
	}
}
