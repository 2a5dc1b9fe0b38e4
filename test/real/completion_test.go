package real

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// installed is what the deb has, and words of an environment in which a shell finds it.
func installed(t *testing.T) (root string, env []string) {
	t.Helper()
	root = t.TempDir()
	command(t, "dpkg-deb", "-x", only(t, "*.deb"), root)
	return root, append(os.Environ(), "PATH="+root+"/usr/bin:"+os.Getenv("PATH"), "TERM=dumb", "HOME="+t.TempDir(),
		"XDG_DATA_DIRS="+root+"/usr/share:/usr/share")
}

// What a shell makes of a line and a Tab.
func completions(file string) map[string]string {
	return map[string]string{
		"droptrace --snapl":                     "droptrace --snaplen",
		"droptrace conntr":                      "droptrace conntrack",
		"droptrace conntrack --int":             "droptrace conntrack --interval",
		"droptrace --hook forw":                 "droptrace --hook forward",
		"droptrace --hook=forw":                 "droptrace --hook=forward",
		"droptrace --netns dt-real-":            "droptrace --netns NAMESPACE",
		"droptrace --reason NETFILTER_DR":       "droptrace --reason NETFILTER_DROP",
		"droptrace --netns NAMESPACE --chain i": "droptrace --netns NAMESPACE --chain into",
		"droptrace --netns NAMESPACE -i dtif":   "droptrace --netns NAMESPACE -i dtif0",
		"droptrace read " + file[:len(file)-4]:  "droptrace read " + file,
	}
}

// lines are the completions for a namespace with a chain and an interface.
func lines(t *testing.T) map[string]string {
	t.Helper()
	ns := namespace(t)
	command(t, "ip", "-n", ns, "link", "add", "dtif0", "type", "veth", "peer", "name", "peer0")
	command(t, "ip", "netns", "exec", ns, "nft", "add table inet shop; add chain inet shop into")
	file := filepath.Join(t.TempDir(), "drops.pcapng")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for line, want := range completions(file) {
		out[strings.ReplaceAll(line, "NAMESPACE", ns)] = strings.ReplaceAll(want, "NAMESPACE", ns)
	}
	return out
}

func TestFishCompletes(t *testing.T) {
	_, env := installed(t)
	for line, want := range lines(t) {
		cmd := exec.Command("fish", "-c", "complete -C "+"'"+line+"'")
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		word := want[strings.LastIndexByte(want, ' ')+1:]
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\t")
		if err != nil || first != word {
			t.Errorf("%s: %q %v, want %q", line, out, err, word)
		}
	}
}

func TestBashCompletes(t *testing.T) {
	_, env := installed(t)
	typed(t, exec.Command("bash", "--norc", "--noprofile", "-i"), env, ". /usr/share/bash-completion/bash_completion")
}

func TestZshCompletes(t *testing.T) {
	root, env := installed(t)
	typed(t, exec.Command("zsh", "-f", "-i"), env,
		"fpath=("+root+"/usr/share/zsh/vendor-completions $fpath); autoload -Uz compinit; compinit -u -D")
}

// typed types each line and a Tab into a shell on a terminal, then has the shell print
// the line that it has now.
func typed(t *testing.T, shell *exec.Cmd, env []string, setup string) {
	t.Helper()
	for line, want := range lines(t) {
		cmd := exec.Command(shell.Path, shell.Args[1:]...)
		cmd.Env = env
		// Ctrl-A goes to the line's begin.
		got := onTerminal(t, cmd, setup+"\n", line+"\t\x01echo GOT:\n", "exit\n")
		if !strings.Contains(got, "\nGOT:"+want+" \r") && !strings.Contains(got, "\nGOT:"+want+"\r") {
			t.Errorf("%s: want %q in %q", line, want, got)
		}
	}
}

// onTerminal gives the program what is typed, and returns what it printed.
func onTerminal(t *testing.T, cmd *exec.Cmd, typed ...string) string {
	t.Helper()
	master, slave := terminal(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	for _, s := range typed {
		if _, err := master.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	var out []byte
	end := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	for buf := make([]byte, 4096); ; {
		n, err := master.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil { // EIO when the last that had it open is gone
			break
		}
	}
	end.Stop()
	_ = cmd.Wait()
	return string(out)
}

// terminal is a new one's two ends.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 250}); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
