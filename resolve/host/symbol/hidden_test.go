package symbol

import "testing"

func TestHiddenSymbolsNameNothing(t *testing.T) {
	l := Hidden()
	if name, _, ok := l.Lookup(0xffffffff81000000); ok {
		t.Errorf("an address is named %s", name)
	}
	if _, ok := l.Table().Address("_stext"); ok || l.Table().Range("nf_hook_slow") != nil || len(l.Table().Modules()) > 0 {
		t.Error("there are symbols")
	}
	if err := l.Reload(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
