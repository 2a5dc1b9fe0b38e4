package real

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRPMInARootOfItsOwn(t *testing.T) {
	root, rpm := t.TempDir(), only(t, "*.rpm")
	for _, line := range strings.Fields(command(t, "rpm", "-qp", "--requires", rpm)) {
		if strings.HasPrefix(line, "rpmlib(") || !strings.Contains(line, "(") && strings.Trim(line, "0123456789.-<=>") == "" {
			continue // what rpm itself must be able to do
		}
		t.Errorf("it requires %s: a static program needs nothing", line)
	}
	if got := command(t, "rpm", "-qp", "--recommends", rpm); got != "nftables\ntcpdump\n" {
		t.Errorf("it recommends %q", got)
	}
	if got := command(t, "rpm", "-qp", "--qf", "%{VERSION} %{ARCH}", rpm); !strings.HasPrefix(got, strings.ReplaceAll(version, "-", "~")+" ") {
		t.Errorf("it is %q", got)
	}
	command(t, "rpm", "--root", root, "--initdb")
	command(t, "rpm", "--root", root, "-i", "--ignoreos", rpm)
	if got := command(t, filepath.Join(root, "usr/bin/droptrace"), "--version"); !strings.Contains(got, version) {
		t.Errorf("--version: %q", got)
	}
	command(t, "rpm", "--root", root, "-V", "droptrace")
	command(t, "rpm", "--root", root, "-e", "droptrace")
	if out := command(t, "find", root, "-name", "*droptrace*"); out != "" {
		t.Errorf("erased, and left are\n%s", out)
	}
}

// An apk is two gzip streams behind each other: control, then data, whose sum control
// has.
func TestAPKSaysWhatIsInIt(t *testing.T) {
	raw, err := os.ReadFile(only(t, "*.apk"))
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(raw)
	control := files(t, stream(t, r))
	data := raw[len(raw)-r.Len():]
	about := string(control[".PKGINFO"])
	sum := sha256.Sum256(data)
	for _, want := range []string{"pkgname = droptrace", "datahash = " + hex.EncodeToString(sum[:]), "license = Apache-2.0"} {
		if !strings.Contains(about, want+"\n") {
			t.Errorf(".PKGINFO has no %q:\n%s", want, about)
		}
	}
	for line := range strings.Lines(about) {
		if key, _, ok := strings.Cut(line, " = "); !ok || strings.Contains(key, " ") {
			t.Errorf(".PKGINFO has the line %q", line)
		}
	}
	if strings.Contains(about, "depend") {
		t.Errorf("it depends on something:\n%s", about)
	}
	content := files(t, stream(t, bytes.NewReader(data)))
	program := filepath.Join(t.TempDir(), "droptrace")
	if err := os.WriteFile(program, content["usr/bin/droptrace"], 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "--version").Output(); err != nil || !bytes.Contains(out, []byte(version)) {
		t.Errorf("--version: %q %v", out, err)
	}
	if _, ok := content[""]; ok {
		t.Error("a directory has no name")
	}
	if len(content["usr/share/zsh/site-functions/_droptrace"]) == 0 {
		t.Error("zsh's completion is not where Alpine has it")
	}
}

// stream reads the next gzip stream, and r stands behind it.
func stream(t *testing.T, r *bytes.Reader) []byte {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func files(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	out := make(map[string][]byte)
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // control has no end of its own
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[strings.TrimPrefix(h.Name, "./")], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
