package explain

import (
	"encoding/json"
	"testing"

	"github.com/droptrace/droptrace/resolve/drop"
	"github.com/droptrace/droptrace/resolve/rules"
)

func FuzzDrops(f *testing.F) {
	f.Add([]byte(`{"type":"drop","schema":1,"packet":{"family":"ip"}}`))
	f.Add([]byte(`{"type":"notice"}`))
	f.Add([]byte(`[1]`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var d drop.Drop
		if json.Unmarshal(line, &d) == nil {
			keyOfDrop(&d)
		}
		rules.LanguageOf(line)
	})
}
