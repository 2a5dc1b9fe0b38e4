package output

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/droptrace/droptrace/resolve/drop"
)

// A fix that is broken over lines is copied with them, and is the same command.
func TestAWrappedFixIsTheSameCommand(t *testing.T) {
	for _, fix := range []string{
		`printf '%s\n' iptables-nft -I 'a  c accept; flush ruleset' 7 -s 203.0.113.9 -p tcp --dport 80 -j ACCEPT`,
		`printf '%s\n' 'one word that is far longer than the line, with  two spaces and it'\''s quote; and "another" one'`,
		`printf '%s\n' --zone=public '--add-rich-rule=rule family="ipv4" source address="203.0.113.9" port port="80" accept'`,
		`printf '%s\n' 'a'\\'b c d e f g h i j k l m n o p q r s t u v w x y z' && printf '%s\n' next`,
	} {
		for _, columns := range []int{0, 20, 40, 60, 80} {
			copied := printedFix(t, fix, Style{Width: columns})
			for _, shell := range []string{"bash", "dash"} {
				want, err1 := exec.Command(shell, "-c", fix).Output()
				got, err2 := exec.Command(shell, "-c", copied).Output()
				if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
					t.Errorf("%s, %d columns:\n%s\nprints %q, want %q (%v, %v)", shell, columns, copied, got, want, err1, err2)
				}
			}
		}
	}
}

func TestAFixThatTheTerminalWouldChangeIsNotShown(t *testing.T) {
	if got := printedFix(t, "ipset del é 192.0.2.1", Style{ASCII: true}); !strings.HasPrefix(strings.TrimSpace(got), "not shown") {
		t.Error(got)
	}
	if got := printedFix(t, "ipset del é 192.0.2.1", Style{}); strings.TrimSpace(got) != "ipset del é 192.0.2.1" {
		t.Error(got)
	}
}

// printedFix is what stands behind the label.
func printedFix(t *testing.T, fix string, style Style) string {
	t.Helper()
	var b bytes.Buffer
	d := ruleDrop()
	d.Why = []drop.Why{{Code: "c", Message: "m", Fix: fix}}
	text := NewText(&b, style, time.UTC)
	if err := text.Drop(&d); err != nil {
		t.Fatal(err)
	}
	if err := text.Flush(); err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(b.String(), "\n  fix ")
	if !found {
		t.Fatalf("no fix in %s", b.String())
	}
	return after
}
