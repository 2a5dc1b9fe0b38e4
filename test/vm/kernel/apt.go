package kernel

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// keyring holds the keys that sign Debian's archive, on Debian and on Ubuntu.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// apt reads suites that the machine need not be configured for. It keeps its
// sources, lists and cache to itself, so that the machine's are left alone.
type apt struct {
	dir string
}

// A debPackage is a version of a package that a suite offers.
type debPackage struct {
	name, version string
}

// newApt prepares dir for an architecture of the mirror's suites, and reads their
// lists.
func newApt(ctx context.Context, dir, mirror, arch string, suites []string) (*apt, error) {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	a := &apt{dir: dir}
	if err := os.WriteFile(a.path("sources.list"), []byte(sourcesList(mirror, suites)), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(a.path("status"), nil, 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(a.path("apt.conf"), []byte(a.config(arch)), 0o644); err != nil {
		return nil, err
	}
	if _, err := a.run(ctx, "", "apt-get", "update"); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *apt) path(name string) string { return filepath.Join(a.dir, name) }

func (a *apt) config(arch string) string {
	var b strings.Builder
	set := func(key, value string) { fmt.Fprintf(&b, "%s %q;\n", key, value) }
	set("Dir::Etc::sourcelist", a.path("sources.list"))
	set("Dir::Etc::sourceparts", "/dev/null")
	set("Dir::State::Lists", a.path("lists"))
	set("Dir::State::status", a.path("status")) // nothing is installed
	set("Dir::Cache", a.path("cache"))
	set("APT::Architecture", arch)
	b.WriteString("#clear APT::Architectures;\n")
	set("APT::Sandbox::User", "root") // _apt cannot enter a private cache folder
	set("Acquire::Languages", "none")
	// A suite that gets no more updates is still good to boot from.
	set("Acquire::Check-Valid-Until", "false")
	set("Acquire::Retries", "3")
	// A list that could not be fetched must not look like one that is empty.
	set("APT::Update::Error-Mode", "any")
	// What the machine adds to an update is not for lists that are thrown away.
	set("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false")
	b.WriteString("#clear APT::Update::Post-Invoke;\n")
	b.WriteString("#clear APT::Update::Post-Invoke-Success;\n")
	return b.String()
}

// sourcesList names the suites. Those of the security archive lie beside the
// mirror.
func sourcesList(mirror string, suites []string) string {
	var b strings.Builder
	for _, suite := range suites {
		url := strings.TrimSuffix(mirror, "/")
		if strings.HasSuffix(suite, "-security") {
			url += "-security"
		}
		fmt.Fprintf(&b, "deb [signed-by=%s] %s %s main\n", keyring, url, suite)
	}
	return b.String()
}

// packages returns what the suites offer whose name match accepts.
func (a *apt) packages(ctx context.Context, match func(name string) bool) ([]debPackage, error) {
	out, err := a.run(ctx, "", "apt-cache", "pkgnames", "linux-")
	if err != nil {
		return nil, err
	}
	names := strings.Fields(out)
	names = slices.DeleteFunc(names, func(name string) bool { return !match(name) })
	if len(names) == 0 {
		return nil, nil
	}
	out, err = a.run(ctx, "", "apt-cache", append([]string{"madison"}, names...)...)
	if err != nil {
		return nil, err
	}
	return parseMadison(out), nil
}

// parseMadison reads lines of `name | version | source`.
func parseMadison(out string) []debPackage {
	var pkgs []debPackage
	for line := range strings.Lines(out) {
		fields := strings.Split(line, "|")
		if len(fields) < 3 {
			continue
		}
		pkgs = append(pkgs, debPackage{
			name:    strings.TrimSpace(fields[0]),
			version: strings.TrimSpace(fields[1]),
		})
	}
	return pkgs
}

// download fetches packages into dir and returns their files.
func (a *apt) download(ctx context.Context, dir string, pkgs []debPackage) ([]string, error) {
	args := []string{"download"}
	for _, p := range pkgs {
		args = append(args, p.name+"="+p.version)
	}
	if _, err := a.run(ctx, dir, "apt-get", args...); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return nil, err
	}
	if len(files) != len(pkgs) {
		return nil, fmt.Errorf("download %v: got %d files", pkgs, len(files))
	}
	return files, nil
}

func (a *apt) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	args = append([]string{"-q", "-c", a.path("apt.conf")}, args...)
	return run(ctx, dir, name, args...)
}

// run runs a program in dir and returns what it prints.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
