package console

import "testing"

func TestVersionIsTheLinkersFirst(t *testing.T) {
	if v := Version(); v == "" {
		t.Error("no version without the linker")
	}
	version = "1.2.3"
	t.Cleanup(func() { version = "" })
	if v := Version(); v != "1.2.3" {
		t.Errorf("Version() = %q, want the linker's 1.2.3", v)
	}
}
