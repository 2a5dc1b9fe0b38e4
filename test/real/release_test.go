package real

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The archive and the deb have the same program, which runs and knows its version.
func TestReleaseRunsHere(t *testing.T) {
	dir := t.TempDir()
	command(t, "tar", "-C", dir, "-xzf", only(t, "*.tar.gz"))
	archived := filepath.Join(dir, "droptrace-"+version+"-linux-"+runtime.GOARCH, "droptrace")
	command(t, "dpkg-deb", "-x", only(t, "*.deb"), filepath.Join(dir, "deb"))
	packaged := filepath.Join(dir, "deb/usr/bin/droptrace")
	command(t, "cmp", archived, packaged)
	if got := command(t, archived, "--version"); !strings.HasPrefix(got, "droptrace "+version+", ") {
		t.Errorf("--version: %q", got)
	}
	doctor, _ := exec.Command(packaged, "doctor").Output() // its exit code is about the firewall
	if first, _, _ := bytes.Cut(doctor, []byte("\n")); !bytes.HasPrefix(first, []byte("droptrace "+version+" ")) {
		t.Errorf("doctor begins with %q", first)
	}
	shared, err := os.ReadFile(filepath.Join(dir, "deb/usr/share/droptrace/schema.json"))
	if printed := command(t, packaged, "--schema"); err != nil || printed != string(shared) {
		t.Errorf("the schema in the package is not what --schema prints (%v)", err)
	}
	cmd := exec.Command("sha256sum", "--check", "--quiet", "SHA256SUMS")
	cmd.Dir = dist
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("SHA256SUMS: %v %s", err, out)
	}
	seesDrop(t, nil, packaged)
}

// Every module in the program is in the licences and in the list of parts.
func TestReleaseNamesWhatIsInside(t *testing.T) {
	dir := t.TempDir()
	command(t, "dpkg-deb", "-x", only(t, "*.deb"), dir)
	licences, err := os.ReadFile(filepath.Join(dir, "usr/share/doc/droptrace/copyright"))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := os.ReadFile(only(t, "*.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	for line := range strings.Lines(command(t, "go", "version", "-m", filepath.Join(dir, "usr/bin/droptrace"))) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "dep" {
			continue
		}
		n++
		if !bytes.Contains(licences, []byte("\n"+fields[1]+" "+fields[2]+"\n")) {
			t.Errorf("no licence of %s %s", fields[1], fields[2])
		}
		if !bytes.Contains(parts, []byte("pkg:golang/"+fields[1]+"@"+fields[2])) {
			t.Errorf("%s %s is not among the parts", fields[1], fields[2])
		}
	}
	if n == 0 {
		t.Error("the program has no modules")
	}
}

// Another folder, user mask, home, locale and time zone, and an hour later: the same bytes.
func TestTwoBuildsAreEqual(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "elsewhere")
	command(t, "cp", "-r", "../..", tree)
	epoch := strings.TrimSpace(command(t, "git", "log", "-1", "--format=%ct"))
	cmd := exec.Command("sh", "-c", "umask 077; exec scripts/release "+version+" "+dir+"/dist "+runtime.GOARCH)
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8", "GOFLAGS=-buildvcs=false", "GOAMD64=v2", "SOURCE_DATE_EPOCH="+epoch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command("diff", "-r", dist, filepath.Join(dir, "dist")).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
}

func TestLintersAreContent(t *testing.T) {
	cmd := exec.Command("lintian", "--pedantic", "--fail-on", "error,warning,info,pedantic", only(t, "*.deb"))
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("droptrace:")) {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	out, err := exec.Command("rpmlint", "-c", "../../scripts/package/rpmlint.toml", only(t, "*.rpm")).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("1 packages")) || !bytes.Contains(out, []byte("; 0 errors, 0 warnings")) {
		t.Errorf("rpmlint: %v\n%s", err, out)
	}
}

// One list of parts and one of licences serve both architectures.
func TestReleaseHasTheSameModulesEverywhere(t *testing.T) {
	lists := make(map[string]string)
	for _, arch := range []string{"amd64", "arm64"} {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", "../../cmd/droptrace")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		modules := strings.Split(strings.TrimSpace(string(out)), "\n")
		slices.Sort(modules)
		lists[arch] = strings.Join(slices.Compact(modules), "\n")
	}
	if lists["amd64"] != lists["arm64"] {
		t.Errorf("amd64:\n%s\narm64:\n%s", lists["amd64"], lists["arm64"])
	}
}
