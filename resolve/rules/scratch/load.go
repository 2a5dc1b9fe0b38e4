package scratch

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// LoadNFT loads what `nft list ruleset` printed, or any other input of `nft -f`.
// The error of input that nft refuses is a [*ProgramError] with its line.
func (n *Namespace) LoadNFT(ctx context.Context, text string) error {
	path, err := n.find("nft")
	if err != nil {
		return err
	}
	if err := isText("nft", text); err != nil {
		return err
	}
	if line := includeLine(text); line > 0 {
		return &ProgramError{Program: "nft", Line: line, Message: "include would read another file: put its rules into this one", Err: errNotText}
	}
	if err := n.allowed(ctx, path, text); err != nil {
		return err
	}
	_, err = n.withDevices(text, func() (string, error) {
		return n.start(ctx, path, []string{"-f", "-"}, text)
	})
	return err
}

// LoadIPTables loads what iptables-save (family ip) or ip6tables-save (ip6)
// printed, into nf_tables or, with IPTablesLegacy, into ip_tables.
func (n *Namespace) LoadIPTables(ctx context.Context, engine ruleset.Engine, family, text string) error {
	name := "iptables"
	if family == "ip6" {
		name = "ip6tables"
	}
	suffix := "-nft-restore"
	if engine == ruleset.IPTablesLegacy {
		suffix = "-legacy-restore"
	}
	path, err := n.find(name + suffix)
	if err != nil {
		return err
	}
	if err := isText(name+suffix, text); err != nil {
		return err
	}
	if err := n.allowed(ctx, path, text); err != nil {
		return err
	}
	// Counters are kept where the file has them.
	_, err = n.start(ctx, path, []string{"--counters"}, text)
	return err
}

var errNotText = errors.New("not a ruleset")

// isText refuses what a program would take for the end of its input, and then
// call a success.
func isText(program, text string) error {
	if before, _, found := strings.Cut(text, "\x00"); found {
		return &ProgramError{Program: program, Line: strings.Count(before, "\n") + 1, Message: "NUL byte", Err: errNotText}
	}
	return nil
}

// includeLine is the line, from 1, on which nft would read another file; 0 for none. It
// reads quotes and comments as nft's scanner does, and where a quote is not closed
// takes all that follows for words.
func includeLine(text string) int {
	line := 1
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			if end := strings.IndexByte(text[i+1:], '"'); end >= 0 {
				line += strings.Count(text[i+1:i+1+end], "\n")
				i += end + 1
			}
		case text[i] == '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case text[i] == '\n':
			line++
		case strings.HasPrefix(text[i:], "include"):
			return line
		}
	}
	return 0
}

// backend tells which engine a program of iptables changes, by its name or, as
// the name alone does not say, by what -V prints since 1.8.
func (n *Namespace) backend(ctx context.Context, path string) (ruleset.Engine, error) {
	name := filepath.Base(path)
	switch {
	case name == "nft":
		return ruleset.NFTables, nil
	case strings.Contains(name, "-nft"):
		return ruleset.IPTablesNFT, nil
	case strings.Contains(name, "-legacy"):
		return ruleset.IPTablesLegacy, nil
	case strings.HasPrefix(name, "ebtables"), strings.HasPrefix(name, "arptables"):
		name = "" // only their version says
	}
	version, err := n.start(ctx, path, []string{"-V"}, "")
	if err != nil {
		return "", err
	}
	if strings.Contains(version, "nf_tables") {
		return ruleset.IPTablesNFT, nil
	}
	return ruleset.IPTablesLegacy, nil
}

// extensionOption is an option of iptables that names an extension, with the name: short
// ones may stand together and end in it, and getopt_long takes any beginning of a long
// one.
var extensionOption = regexp.MustCompile(`(?:^|\s)(?:-[0-9A-Za-z]*?[mjg]\s*|--(?:m[a-z]*|j[a-z]*|g[a-z]*)(?:=|\s+))["']?([0-9A-Za-z_-]+)`)

// namedExtensions are the extensions, or chains, that iptables' words name.
func namedExtensions(input string) []string {
	var names []string
	for _, m := range extensionOption.FindAllStringSubmatch(input, -1) {
		names = append(names, m[1])
	}
	return names
}

// missing are the modules that the program would load for the input.
func (n *Namespace) missing(ctx context.Context, path, input string) ([]string, error) {
	if filepath.Base(path) == "ipset" {
		return n.kernel.absent(setNeeds(input))
	}
	engine, err := n.backend(ctx, path)
	if err != nil {
		return nil, err
	}
	return n.kernel.missing(engine, input)
}

// allowed is nil where running the program on the input changes nothing but the
// namespace.
func (n *Namespace) allowed(ctx context.Context, path, input string) error {
	if strings.Contains(filepath.Base(path), "tables") {
		if err := allowedExtensions(namedExtensions(input)); err != nil {
			return fmt.Errorf("run %s: %w", filepath.Base(path), err)
		}
	}
	missing, err := n.missing(ctx, path, input)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("run %s: %w: modprobe %s", filepath.Base(path), ErrModule, strings.Join(missing, " "))
	}
	return nil
}
