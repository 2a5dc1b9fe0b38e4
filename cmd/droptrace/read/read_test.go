package read

import (
	"os"
	"strings"
	"testing"
)

func TestFilesComeBeforeAnExpression(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"a": "a|", "a b": "a b|", "a tcp port 80": "a|tcp port 80", "a b - tcp": "a b -|tcp", "missing": "missing|", "missing tcp": "missing|tcp",
	} {
		files, text := filesFirst(strings.Fields(line))
		if got := strings.Join(files, " ") + "|" + text; got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
