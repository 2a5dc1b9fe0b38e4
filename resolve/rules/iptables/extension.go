package iptables

import (
	"fmt"
	"strings"
)

// extension is a match (-m) or target (-j) with the options given to it.
type extension struct {
	name    string
	spec    *spec
	words   []word // all of them, from -m or -j on
	options []option
	// strange: it has an option that its spec does not know.
	strange bool
}

// option is one option with its arguments.
type option struct {
	name  string // the spec's first name for it
	neg   bool
	args  []string
	words []word // as they were written, ! included
}

// text is the option as it was written.
func (o option) text() string { return joinWords(o.words) }

func (o option) arg() string { return o.args[0] }

// find returns the last option of that name.
func (e *extension) find(name string) (option, bool) {
	for i := len(e.options) - 1; i >= 0; i-- {
		if e.options[i].name == name {
			return e.options[i], true
		}
	}
	return option{}, false
}

// text is the whole as it was written.
func (e *extension) text() string { return joinWords(e.words) }

// spec tells an extension's options and what they come to.
type spec struct {
	options map[string]optionSpec // by every name
	build   func(b *builder, e *extension) error
}

type optionSpec struct {
	name string
	args int
}

// newSpec reads options like "dport/destination-port=1": names, of which the
// first is the one that build sees, and the number of arguments, 0 if not told.
func newSpec(build func(*builder, *extension) error, options ...string) *spec {
	s := &spec{options: make(map[string]optionSpec, len(options)), build: build}
	for _, o := range options {
		names, args, _ := strings.Cut(o, "=")
		first, _, _ := strings.Cut(names, "/")
		for name := range strings.SplitSeq(names, "/") {
			s.options[name] = optionSpec{first, len(args)}
			if args != "" {
				s.options[name] = optionSpec{first, int(args[0] - '0')}
			}
		}
	}
	return s
}

func (s *spec) option(name string) (optionSpec, bool) {
	o, ok := s.options[name]
	return o, ok
}

// abbreviated finds an option, as getopt_long does, by a beginning of its name
// that no other option has.
func (s *spec) abbreviated(name string) (optionSpec, bool) {
	var found optionSpec
	for full, o := range s.options {
		if !strings.HasPrefix(full, name) {
			continue
		}
		if found.name != "" && found.name != o.name {
			return optionSpec{}, false
		}
		found = o
	}
	return found, found.name != ""
}

// specs finds the specs of extensions, making each once.
type specs struct {
	family           string
	matches, targets map[string]*spec
}

func newSpecs(family string) *specs {
	return &specs{family: family, matches: make(map[string]*spec), targets: make(map[string]*spec)}
}

// match returns nil for a match that is not known.
func (s *specs) match(name string) *spec {
	found, ok := s.matches[name]
	if !ok {
		found = matchSpec(s.family, name)
		s.matches[name] = found
	}
	return found
}

// target returns nil for a target that is not known.
func (s *specs) target(name string) *spec {
	found, ok := s.targets[name]
	if !ok {
		found = targetSpec(s.family, name)
		s.targets[name] = found
	}
	return found
}

func badValue(o option, err error) error {
	return fmt.Errorf("%s: %w", o.text(), err)
}
