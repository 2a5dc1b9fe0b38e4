package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// managers fails where a firewall manager is missing, or the Python it is written in.
func managers(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range append(programs, "python3") {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is not installed: scripts/install-deps test", name)
		}
	}
}

// privateEtc gives a namespace a directory of its own in place of one in /etc, empty
// at first: ip netns exec mounts what is in /etc/netns over /etc. What the machine's
// own manager is configured to do has no part in a test, and none in it.
func privateEtc(t *testing.T, ns, name string) (dir string) {
	t.Helper()
	root := filepath.Join("/etc/netns", ns)
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
		_ = os.Remove("/etc/netns") // unless somebody else has one
	})
	dir = filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ufwDefaults is /etc/default/ufw as Debian has it.
const ufwDefaults = `IPV6=yes
DEFAULT_INPUT_POLICY="DROP"
DEFAULT_OUTPUT_POLICY="ACCEPT"
DEFAULT_FORWARD_POLICY="DROP"
DEFAULT_APPLICATION_POLICY="SKIP"
MANAGE_BUILTINS=no
IPT_SYSCTL=/etc/ufw/sysctl.conf
IPT_MODULES=""
`

// ufwEtc configures ufw in a namespace as a new installation is, off: from the files
// that its package installs from.
func ufwEtc(t *testing.T, ns string) {
	t.Helper()
	dir := privateEtc(t, ns, "ufw")
	command(t, "", "sh", "-c", "cp /usr/share/ufw/*.rules /usr/share/ufw/*.init /usr/share/ufw/ufw.conf "+dir)
	writeFile(t, dir, "sysctl.conf", "")
	if err := os.Mkdir(filepath.Join(dir, "applications.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, privateEtc(t, ns, "default"), "ufw", ufwDefaults)
}

// firewalldEtc configures firewalld in a namespace as a new installation is: its zones
// and services are in /usr/lib.
func firewalldEtc(t *testing.T, ns string) {
	t.Helper()
	writeFile(t, privateEtc(t, ns, "firewalld"), "firewalld.conf", "DefaultZone=public\n")
}
