package hostile

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droptrace/droptrace/test/nstest"
	"golang.org/x/sys/unix"
)

// attacks are texts that are commands, or end a quote, for one of the programs, shells
// and terminals behind a name. CANARY is a file that nobody may open.
func attacks(canary string) map[string]string {
	return map[string]string{
		"nft include": fmt.Sprintf("a; add table ip pwned; include \"%s\"; #", canary),
		"nft block":   "x\"\n}\n}\nadd table ip pwned\nflush ruleset\ninclude \"" + canary + "\"\n#",
		"ipset file":  "x\"\nsave -file " + canary + "\nlist -f " + canary + "\n#",
		"ipset sets":  "x\"\ncreate pwned hash:ip\n",
		"iptables":    "x\"\nCOMMIT\n*nat\n-A PREROUTING -j ACCEPT\n-A INPUT --modprobe=" + canary + " -j DROP\nCOMMIT\n#",
		"shell":       "$(touch " + canary + ")`touch " + canary + "`;touch " + canary + " #\n'\"",
		"option":      "-f" + canary,
		"terminal":    "\x1b]0;pwned\x07\x1b[2J\r\x9b31m",
	}
}

// TestAContainerCannotTouchTheHost runs every command that reads a container's rules.
func TestAContainerCannotTouchTheHost(t *testing.T) {
	attack(t, func(t *testing.T, c *container, before string) {
		for _, args := range commands(c.pid) {
			o := watched(t, nil, args...)
			check(t, c, &o, args, before)
		}
	})
}

// TestLiveDropsOfAContainer has the hostile rules drop packets.
func TestLiveDropsOfAContainer(t *testing.T) {
	attack(t, func(t *testing.T, c *container, before string) {
		for _, format := range []string{"text", "json"} {
			if c.refuses {
				continue // its rules drop another port
			}
			args := []string{"--netns", fmt.Sprintf("pid:%d", c.pid), "-c", "3", "--duration", "60s", "--output", format}
			o := watched(t, func(done <-chan struct{}) { c.send(t, done) }, args...)
			if !strings.Contains(o.stdout, "4001") {
				t.Errorf("droptrace %q ended with %d and showed no drop:\n%s%s", args, o.code, o.stdout, o.stderr)
			}
			check(t, c, &o, args, before)
		}
	})
}

// attack makes a container for each of the attacks, and looks at the host afterwards.
func attack(t *testing.T, run func(t *testing.T, c *container, before string)) {
	t.Helper()
	nstest.SkipUnprivileged(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	canary := filepath.Join(dir, "canary")
	if err := os.WriteFile(canary, []byte("add table ip pwned\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	touched := watchDirectory(t, dir)
	host := hostRules(t)
	for name, hostile := range attacks(canary) {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, strings.ReplaceAll(cut(hostile, 14), "/", "_"))
			c.link(t, hostile)
			c.nftables(t, hostile)
			c.iptablesNFT(t, hostile)
			c.ipset(t, hostile)
			run(t, c, c.rules(t))
		})
		// Such a table cannot be listed, which is said.
		t.Run(name+" in iptables-legacy", func(t *testing.T) {
			c := newContainer(t, "sleep")
			c.link(t, hostile)
			c.legacy(t, hostile)
			c.refuses = true
			run(t, c, c.rules(t))
		})
	}
	if now := hostRules(t); now != host {
		t.Errorf("the host's rules were\n%s\nand are\n%s", host, now)
	}
	if events := touched(); events != "" {
		t.Errorf("files were touched: %s", events)
	}
}

// commands are those of the command line that read rules, with changes of all kinds.
func commands(pid int) [][]string {
	ns := fmt.Sprintf("pid:%d", pid)
	explain := []string{"explain", "--netns", ns, "--out", "eth0", "--src", "192.0.2.9", "--dst", "192.0.2.1", "--proto", "udp", "--dport", "4001"}
	list := [][]string{explain, {"doctor", "--netns", ns, "--wait", "0"}, {"doctor", "--netns", ns, "--wait", "0", "--json"}}
	for _, with := range []string{
		"iptables-nft -A OUTPUT -j ACCEPT", "iptables-legacy -I OUTPUT 1 -j ACCEPT", "nft add table ip mine", "ipset add s 192.0.2.7",
		"nft delete table ip filter",
	} {
		list = append(list, append(explain[:len(explain):len(explain)], "--with", with))
	}
	return append(list, append(explain[:len(explain):len(explain)], "--json", "--trace", "--with", "iptables-nft -F OUTPUT"))
}

// check is what must hold after every command.
func check(t *testing.T, c *container, o *outcome, args []string, before string) {
	t.Helper()
	o.only(t)
	said := o.stderr != "" || strings.Contains(o.stdout, `"not_looked_at"`)
	if o.code != 0 && o.code != 3 && (!c.refuses || o.code != 1 && o.code != 2 || !said) {
		t.Errorf("droptrace %q ended with %d:\n%s", args, o.code, o.stderr)
	}
	if i := strings.IndexFunc(o.stdout+o.stderr, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == 0x9b }); i >= 0 {
		t.Errorf("droptrace %q printed a control character:\n%q", args, (o.stdout + o.stderr)[max(0, i-60):i+1])
	}
	if now := c.rules(t); now != before {
		t.Errorf("droptrace %q changed the container's rules from\n%s\nto\n%s", args, before, now)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// rules lists the container's own, without counters.
func (c *container) rules(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(c.Run(t, "", "nft", "-s", "list", "ruleset"))
	b.WriteString(c.Run(t, "", "ipset", "save"))
	for line := range strings.Lines(c.Run(t, "", "iptables-legacy-save", "-t", "filter")) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// hostRules lists those of the namespace that the test is in.
func hostRules(t *testing.T) string {
	t.Helper()
	var all []byte
	for _, command := range [][]string{{"nft", "-s", "list", "ruleset"}, {"ipset", "save"}} {
		out, err := exec.Command(command[0], command[1:]...).Output()
		if err != nil {
			t.Fatalf("%s: %v", command[0], err)
		}
		all = append(all, out...)
	}
	return string(all)
}

// send sends packets that the hostile rules drop until the test is told to stop.
func (c *container) send(t *testing.T, done <-chan struct{}) {
	t.Helper()
	for {
		select {
		case <-done:
			return
		case <-time.After(50 * time.Millisecond):
		}
		c.within(t, func() error {
			conn, err := net.Dial("udp", "192.0.2.1:4001")
			if err != nil {
				return err
			}
			defer conn.Close()
			_, _ = conn.Write([]byte("x")) // EPERM: it is dropped
			return nil
		})
	}
}

// watchDirectory has the kernel note what happens to files of the folder.
func watchDirectory(t *testing.T, dir string) (events func() string) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_OPEN|unix.IN_CREATE|unix.IN_MODIFY|unix.IN_ATTRIB|unix.IN_MOVE|unix.IN_DELETE); err != nil {
		t.Fatal(err)
	}
	return func() string {
		buf := make([]byte, 4096)
		n, err := unix.Read(fd, buf)
		if err == syscall.EAGAIN {
			return ""
		}
		return fmt.Sprintf("%q %v", buf[:max(n, 0)], err)
	}
}
