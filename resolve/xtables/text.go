package xtables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/droptrace/droptrace/resolve/ruleset"
)

// ErrNoProgram is returned where no iptables-legacy-save is installed.
var ErrNoProgram = errors.New("iptables-legacy-save is not installed")

// ErrChanged is returned where the rules are no longer those of the blob.
var ErrChanged = errors.New("rules have changed since they were read")

const saveTimeout = 5 * time.Second

// Texts returns the text of every rule of the blob, as iptables-legacy-save
// prints it, in the order of each chain's rules. It runs that program inside
// the namespace and refuses its answer where the kernel's rules are no longer the
// blob's: ErrChanged.
func Texts(ctx context.Context, ns Namespace, b *Blob) (map[*ruleset.Rule]string, error) {
	program, err := saveProgram(b.ID.Family)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-t", b.ID.Name)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	var out []byte
	if err := ns.Do(func() error { out, err = cmd.Output(); return err }); err != nil {
		return nil, fmt.Errorf("run %s: %w", filepath.Base(program), err)
	}
	now, err := Read(ns, b.ID)
	if err != nil {
		return nil, err
	}
	if now.Digest != b.Digest {
		return nil, fmt.Errorf("table %s: %w", b.ID.Name, ErrChanged)
	}
	return join(b, out)
}

// join gives the nth -A line of a chain to the chain's nth rule.
func join(b *Blob, save []byte) (map[*ruleset.Rule]string, error) {
	lines := make(map[string][]string)
	for line := range bytes.Lines(save) {
		rest, ok := strings.CutPrefix(strings.TrimRight(string(line), "\n"), "-A ")
		if !ok {
			continue
		}
		chain, _, _ := strings.Cut(rest, " ")
		lines[chain] = append(lines[chain], "-A "+rest)
	}
	texts := make(map[*ruleset.Rule]string)
	for _, c := range b.Table.Chains {
		if len(lines[c.Name]) != len(c.Rules) {
			return nil, fmt.Errorf("chain %s: %w", c.Name, ErrChanged)
		}
		for i, r := range c.Rules {
			texts[r] = lines[c.Name][i]
		}
	}
	return texts, nil
}

// saveProgram finds the legacy program, also on systems that have no other.
func saveProgram(family string) (string, error) {
	prefix := "iptables"
	if family == "ip6" {
		prefix = "ip6tables"
	}
	for _, name := range []string{prefix + "-legacy-save", prefix + "-save"} {
		for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"} {
			path := filepath.Join(dir, name)
			if st, err := os.Stat(path); err != nil || st.IsDir() {
				continue
			}
			if strings.HasSuffix(name, "-legacy-save") || isLegacy(path) {
				return path, nil
			}
		}
	}
	return "", ErrNoProgram
}

// isLegacy asks a program that may be either: `iptables-save v1.8.9 (legacy)`.
func isLegacy(path string) bool {
	out, err := exec.Command(path, "-V").Output()
	return err == nil && !bytes.Contains(out, []byte("nf_tables"))
}
