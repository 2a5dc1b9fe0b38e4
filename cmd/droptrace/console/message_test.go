package console

import (
	"bytes"
	"errors"
	"testing"

	"github.com/droptrace/droptrace/cmd/droptrace/output"
)

func TestBadUsageKeepsTheHint(t *testing.T) {
	err := BadUsage(WithHint(errors.New(`there is no interface "etth0"`), "did you mean eth0?"))
	var b bytes.Buffer
	printError(&b, output.Style{}, err)
	if want := "droptrace: there is no interface \"etth0\"; did you mean eth0?\n"; b.String() != want || exitCode(err) != 2 {
		t.Errorf("got %q and exit code %d, want %q and 2", b.String(), exitCode(err), want)
	}
}
