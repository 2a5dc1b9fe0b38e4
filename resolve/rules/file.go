package rules

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/iptables"
	"github.com/droptrace/droptrace/resolve/rules/ruleset"
	"github.com/droptrace/droptrace/resolve/rules/scratch"
)

// maxRuleFile bounds a file of rules, in bytes: 100,000 are about 10 MB.
const maxRuleFile = 256 << 20

// ErrNoRules is for a file that neither iptables-save nor nft has printed.
var ErrNoRules = errors.New("holds no rules")

// FileError says which file could not be read by nft: see package scratch for Err.
type FileError struct {
	Name string
	Err  error
}

func (e *FileError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// Language is the program that printed a file of rules.
type Language int

const (
	unknownLanguage Language = iota
	SavedByIPTables          // iptables-save, ip6tables-save
	ListedByNFT              // nft list ruleset
)

// LanguageOf says which program printed text: it looks at the first line that says anything.
func LanguageOf(text []byte) (Language, string) {
	for raw := range bytes.Lines(text) {
		line := strings.TrimSpace(string(raw))
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "*"):
			return SavedByIPTables, line
		case strings.HasPrefix(line, "table "), line == "flush ruleset", strings.HasPrefix(line, "add table "),
			strings.HasPrefix(line, "define "), strings.HasPrefix(line, "include "):
			return ListedByNFT, line
		default:
			return unknownLanguage, line
		}
	}
	return unknownLanguage, ""
}

// ReadFile reads what iptables-save, ip6tables-save or `nft list ruleset`
// printed; - is standard input.
func ReadFile(name string) (Language, []byte, error) {
	var in io.Reader = os.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return 0, nil, fmt.Errorf("read rules: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(bufio.NewReader(in), maxRuleFile+1))
	if err != nil {
		return 0, nil, fmt.Errorf("read rules: %w", err)
	}
	if len(text) > maxRuleFile {
		return 0, nil, fmt.Errorf("read rules: %s is larger than %d MiB", name, maxRuleFile>>20)
	}
	l, line := LanguageOf(text)
	if l != unknownLanguage {
		return l, text, nil
	}
	if line == "" {
		return l, nil, fmt.Errorf("%s %w", name, ErrNoRules)
	}
	return l, nil, fmt.Errorf("%s %w that are understood: it begins with %q", name, ErrNoRules, clip(line))
}

// clip keeps a message short.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// ParseSaved reads iptables' own words.
func ParseSaved(name string, text []byte) (*ruleset.Ruleset, error) {
	rs, err := iptables.Parse(bytes.NewReader(text), iptables.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rs, nil
}

// ReadFiles reads files of one machine into one set of rulesets. indexes are
// those that rules of nft's compare interfaces with.
func ReadFiles(ctx context.Context, names []string) (r *Rules, indexes map[string]uint32, err error) {
	r, indexes = &Rules{}, make(map[string]uint32)
	for _, name := range names {
		l, text, err := ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		var rs *ruleset.Ruleset
		if l == SavedByIPTables {
			rs, err = ParseSaved(name, text)
		} else {
			rs, err = loadListed(ctx, name, text, indexes)
		}
		if err != nil {
			return nil, nil, err
		}
		r.List = append(r.List, rs)
	}
	return r, indexes, nil
}

// loadListed has nft itself read a file, in a namespace of droptrace's own.
func loadListed(ctx context.Context, name string, text []byte, indexes map[string]uint32) (*ruleset.Ruleset, error) {
	n, err := scratch.New(ctx)
	if err != nil {
		return nil, &FileError{name, err}
	}
	defer n.Close()
	if err := n.LoadNFT(ctx, string(text)); err != nil {
		return nil, &FileError{name, err}
	}
	rules, err := Read(ctx, n.Handle)
	if err != nil {
		return nil, &FileError{name, err}
	}
	devices, err := n.Devices()
	if err != nil {
		return nil, &FileError{name, err}
	}
	for index, device := range devices {
		indexes[device] = index
	}
	return rules.WithTexts(ctx), nil
}
