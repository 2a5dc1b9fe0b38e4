package iptables

import (
	"fmt"
	"strings"
)

// words are a rule's, sorted out: -A CHAIN and the like are not among them.
type ruleWords struct {
	source, destination option
	in, out             option
	protocol            option
	fragment            option
	counters            option
	target              *extension // nil for none
	goTo                bool
	matches             []*extension
}

// ruleParser sorts out the words of one rule.
type ruleParser struct {
	*specs
	// strict has an option that is not known be an error, as it is to iptables;
	// else the extension is one that is not understood.
	strict bool

	rule ruleWords
	rest []word
}

func (s *specs) parse(words []word, strict bool) (*ruleWords, error) {
	p := ruleParser{specs: s, strict: strict, rest: words}
	for len(p.rest) > 0 {
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	return &p.rule, nil
}

// next takes one option and what belongs to it.
func (p *ruleParser) next() error {
	begin := p.rest
	neg := begin[0].text == "!" && !begin[0].quoted
	if neg {
		p.rest = p.rest[1:]
	}
	if len(p.rest) == 0 {
		return fmt.Errorf("nothing follows a !: %w", ErrSyntax)
	}
	name := p.rest[0].text
	if p.rest[0].quoted || !strings.HasPrefix(name, "-") {
		return fmt.Errorf("unexpected argument %q: %w", name, ErrSyntax)
	}
	if p.splitOption() {
		if begin = p.rest; neg {
			begin = append([]word{{text: "!"}}, p.rest...)
		}
	}
	name = p.rest[0].text
	if o, args := p.general(name); o != nil {
		if o.name != "" {
			return fmt.Errorf("more than one %s: %w", name, ErrSyntax)
		}
		return p.take(o, name, neg, args, begin)
	}
	switch name {
	case "-m", "--match":
		return p.match(neg)
	case "-j", "--jump", "-g", "--goto":
		return p.jump(name, neg)
	}
	return p.extensionOption(name, neg, begin)
}

// splitOption makes two words of `--dport=80` and of `-ieth0`, and tells whether
// it did.
func (p *ruleParser) splitOption() bool {
	name := p.rest[0].text
	var value string
	if strings.HasPrefix(name, "--") {
		i := strings.IndexByte(name, '=')
		if i <= 2 {
			return false
		}
		name, value = name[:i], name[i+1:]
	} else {
		if len(name) <= 2 || strings.IndexByte("sdiopjgm", name[1]) < 0 {
			return false
		}
		name, value = name[:2], name[2:]
	}
	p.rest = append([]word{{text: name}, {text: value}}, p.rest[1:]...)
	return true
}

// general returns where one of iptables' own options is kept, and how many
// arguments it has.
func (p *ruleParser) general(name string) (*option, int) {
	r := &p.rule
	switch name {
	case "-s", "--source", "--src":
		return &r.source, 1
	case "-d", "--destination", "--dst":
		return &r.destination, 1
	case "-i", "--in-interface":
		return &r.in, 1
	case "-o", "--out-interface":
		return &r.out, 1
	case "-p", "--protocol", "--proto":
		return &r.protocol, 1
	case "-f", "--fragment":
		if p.family == "ip" {
			return &r.fragment, 0
		}
	case "-c", "--set-counters":
		return &r.counters, 2
	}
	return nil, 0
}

// take reads the option that p.rest begins with into o.
func (p *ruleParser) take(o *option, name string, neg bool, args int, begin []word) error {
	p.rest = p.rest[1:]
	// Up to 1.4 the ! stood behind the option.
	if args > 0 && !neg && len(p.rest) > 0 && p.rest[0] == (word{text: "!"}) {
		neg, p.rest = true, p.rest[1:]
	}
	if len(p.rest) < args {
		return fmt.Errorf("%s needs an argument: %w", name, ErrSyntax)
	}
	*o = option{name: name, neg: neg}
	for _, w := range p.rest[:args] {
		o.args = append(o.args, w.text)
	}
	p.rest = p.rest[args:]
	o.words = begin[:max(0, len(begin)-len(p.rest))]
	return nil
}

func (p *ruleParser) match(neg bool) error {
	if neg || len(p.rest) < 2 {
		return fmt.Errorf("-m needs a match: %w", ErrSyntax)
	}
	p.load(p.rest[1].text, p.rest[:2])
	p.rest = p.rest[2:]
	return nil
}

// load adds a match.
func (p *ruleParser) load(name string, words []word) *extension {
	e := &extension{name: name, spec: p.specs.match(name), words: words[:len(words):len(words)]}
	p.rule.matches = append(p.rule.matches, e)
	return e
}

func (p *ruleParser) jump(name string, neg bool) error {
	if neg || len(p.rest) < 2 {
		return fmt.Errorf("%s needs a target: %w", name, ErrSyntax)
	}
	if p.rule.target != nil {
		return fmt.Errorf("more than one target: %w", ErrSyntax)
	}
	e := &extension{name: p.rest[1].text, words: p.rest[:2:2]}
	p.rule.goTo = strings.TrimLeft(name, "-")[0] == 'g'
	if !p.rule.goTo {
		e.spec = p.specs.target(e.name)
	}
	p.rule.target = e
	p.rest = p.rest[2:]
	return nil
}

// extensionOption gives an option to the extension that it belongs to: the
// latest that knows it.
func (p *ruleParser) extensionOption(name string, neg bool, begin []word) error {
	if !strings.HasPrefix(name, "--") {
		return fmt.Errorf("option %s is not known: %w", name, ErrSyntax)
	}
	latest := p.loaded()
	for _, find := range []func(*spec, string) (optionSpec, bool){(*spec).option, (*spec).abbreviated} {
		for _, e := range latest {
			if e.spec == nil {
				continue
			}
			if o, ok := find(e.spec, name[2:]); ok {
				return p.give(e, o, neg, begin)
			}
		}
	}
	if e, o, ok := p.implied(name[2:]); ok {
		return p.give(e, o, neg, begin)
	}
	for _, e := range latest {
		if e.spec == nil || !p.strict {
			p.strangeOption(e, begin)
			return nil
		}
	}
	return fmt.Errorf("option %s belongs to no match or target: %w", name, ErrSyntax)
}

// loaded are the rule's extensions, the one that was named last first.
func (p *ruleParser) loaded() []*extension {
	var latest []*extension
	if p.rule.target != nil {
		latest = append(latest, p.rule.target)
	}
	for i := len(p.rule.matches) - 1; i >= 0; i-- {
		latest = append(latest, p.rule.matches[i])
	}
	return latest
}

// implied loads the match of the rule's protocol where an option is one of its:
// -p tcp --dport 80.
func (p *ruleParser) implied(name string) (*extension, optionSpec, bool) {
	o := p.rule.protocol
	if o.name == "" || o.neg {
		return nil, optionSpec{}, false
	}
	number, err := protocolNumber(o.arg())
	if err != nil {
		return nil, optionSpec{}, false
	}
	match := protocolMatch(p.family, number)
	s := p.specs.match(match)
	if s == nil {
		return nil, optionSpec{}, false
	}
	found, ok := s.option(name)
	if !ok {
		return nil, optionSpec{}, false
	}
	return p.load(match, []word{{text: "-m"}, {text: match}}), found, true
}

func (p *ruleParser) give(e *extension, o optionSpec, neg bool, begin []word) error {
	var taken option
	if err := p.take(&taken, o.name, neg, o.args, begin); err != nil {
		return err
	}
	e.options = append(e.options, taken)
	e.words = append(e.words, taken.words...)
	return nil
}

// strangeOption leaves an option, and what seem to be its arguments, to an
// extension that is not understood.
func (p *ruleParser) strangeOption(e *extension, begin []word) {
	e.strange = true
	p.rest = p.rest[1:]
	for len(p.rest) > 0 {
		w := p.rest[0]
		if !w.quoted && (w.text == "!" || strings.HasPrefix(w.text, "-") && len(w.text) > 1) {
			break
		}
		p.rest = p.rest[1:]
	}
	e.words = append(e.words, begin[:max(0, len(begin)-len(p.rest))]...)
}
