package iptables

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/droptrace/droptrace/resolve/rules/ruleset"
)

// command changes the table as the words of one iptables command say, without
// program and -t.
func (t *table) command(words []word) error {
	op, args, rule, err := cutCommand(words)
	if err != nil {
		return err
	}
	t.strict = true
	defer func() { t.strict = false }()
	switch op {
	case 'N':
		return t.newChain(args)
	case 'P':
		return t.setPolicy(args)
	case 'F':
		return t.flush(args)
	case 'X':
		return t.deleteChains(args)
	case 'E':
		return t.rename(args)
	case 'Z':
		return nil
	}
	if len(args) == 0 {
		return fmt.Errorf("-%c needs a chain: %w", op, ErrSyntax)
	}
	c := t.chains[args[0]]
	if c == nil {
		return fmt.Errorf("chain %q: %w", clip(args[0]), ErrNoChain)
	}
	switch op {
	case 'A':
		return t.insert(c, len(c.Rules), args[1:], rule)
	case 'I':
		return t.insertAt(c, args[1:], rule)
	case 'D':
		return t.deleteRules(c, args[1:], rule)
	case 'R':
		return t.replace(c, args[1:], rule)
	}
	return fmt.Errorf("-%c: %w", op, ErrSyntax)
}

// operation is the letter of a command, 0 for any other word.
func operation(w word) byte {
	if w.quoted {
		return 0
	}
	switch w.text {
	case "-A", "--append":
		return 'A'
	case "-I", "--insert":
		return 'I'
	case "-D", "--delete":
		return 'D'
	case "-R", "--replace":
		return 'R'
	case "-P", "--policy":
		return 'P'
	case "-N", "--new-chain", "--new":
		return 'N'
	case "-X", "--delete-chain":
		return 'X'
	case "-F", "--flush":
		return 'F'
	case "-E", "--rename-chain":
		return 'E'
	case "-Z", "--zero":
		return 'Z'
	}
	return 0
}

// cutCommand finds the command, which may stand behind options, and its
// arguments; the rest is the rule.
func cutCommand(words []word) (op byte, args []string, rule []word, err error) {
	for i := 0; i < len(words); i++ {
		found := operation(words[i])
		if found == 0 || i > 0 && takesArgument(words[i-1]) {
			rule = append(rule, words[i])
			continue
		}
		if op != 0 {
			return 0, nil, nil, fmt.Errorf("two commands, -%c and -%c: %w", op, found, ErrSyntax)
		}
		op = found
		for i+1 < len(words) && !strings.HasPrefix(words[i+1].text, "-") && words[i+1].text != "!" {
			i++
			args = append(args, words[i].text)
		}
	}
	if op == 0 {
		return 0, nil, nil, fmt.Errorf("no command such as -A or -I: %w", ErrSyntax)
	}
	return op, args, rule, nil
}

// takesArgument reports whether w is an option after which anything may stand
// that looks like a command.
func takesArgument(w word) bool {
	return !w.quoted && strings.HasPrefix(w.text, "--") &&
		slices.Contains([]string{"--comment", "--log-prefix", "--nflog-prefix", "--string"}, w.text)
}

// insertAt is -I chain [number] rule.
func (t *table) insertAt(c *ruleset.Chain, args []string, rule []word) error {
	at := 1
	if len(args) > 0 {
		var err error
		if at, err = ruleNumber(args[0], len(c.Rules)+1); err != nil {
			return fmt.Errorf("chain %q: %w", c.Name, err)
		}
		args = args[1:]
	}
	return t.insert(c, at-1, args, rule)
}

func ruleNumber(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no rule's number: %w", clip(s), ErrSyntax)
	}
	if n > most {
		return 0, fmt.Errorf("number %d is above %d: %w", n, most, ErrNoRule)
	}
	return n, nil
}

// insert puts rules before the one at index at.
func (t *table) insert(c *ruleset.Chain, at int, args []string, words []word) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q: %w", clip(args[0]), ErrSyntax)
	}
	rules, err := t.rules(c, words)
	if err != nil {
		return err
	}
	c.Rules = slices.Insert(c.Rules, at, rules...)
	renumber(c)
	return nil
}

func renumber(c *ruleset.Chain) {
	for i, r := range c.Rules {
		r.Number = i + 1
	}
}

// rules makes the rules of one command: -s and -d may be lists, and then there
// is a rule for each pair.
func (t *table) rules(c *ruleset.Chain, words []word) ([]*ruleset.Rule, error) {
	parsed, err := t.specs.parse(words, true)
	if err != nil {
		return nil, err
	}
	var rules []*ruleset.Rule
	for _, source := range addressList(parsed.source) {
		for _, destination := range addressList(parsed.destination) {
			one := *parsed
			one.source, one.destination = source, destination
			r := &ruleset.Rule{Chain: c, Text: "-A " + quoteWord(c.Name) + one.text()}
			if err := t.fill(r, &one); err != nil {
				return nil, err
			}
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// addressList takes `-s a,b` apart.
func addressList(o option) []option {
	if o.name == "" || !strings.Contains(o.arg(), ",") {
		return []option{o}
	}
	var list []option
	for address := range strings.SplitSeq(o.arg(), ",") {
		each := o
		each.args = []string{address}
		each.words = []word{{text: o.name}, {text: address}}
		if o.neg {
			each.words = slices.Insert(each.words, 0, word{text: "!"})
		}
		list = append(list, each)
	}
	return list
}

// text writes the rule in the order that iptables-save has.
func (r *ruleWords) text() string {
	var b strings.Builder
	add := func(words []word) {
		if len(words) > 0 {
			b.WriteString(" " + joinWords(words))
		}
	}
	for _, o := range []option{r.source, r.destination, r.in, r.out, r.protocol, r.fragment} {
		add(o.words)
	}
	for _, e := range r.matches {
		add(e.words)
	}
	if r.target != nil {
		add(r.target.words)
	}
	return b.String()
}

func (t *table) replace(c *ruleset.Chain, args []string, words []word) error {
	if len(args) != 1 {
		return fmt.Errorf("-R needs a chain and a number: %w", ErrSyntax)
	}
	n, err := ruleNumber(args[0], len(c.Rules))
	if err != nil {
		return fmt.Errorf("chain %q: %w", c.Name, err)
	}
	rules, err := t.rules(c, words)
	if err != nil {
		return err
	}
	if len(rules) != 1 {
		return fmt.Errorf("one rule cannot be replaced by %d: %w", len(rules), ErrSyntax)
	}
	rules[0].Number = n
	c.Rules[n-1] = rules[0]
	return nil
}

// deleteRules is -D chain number, or -D chain rule: the first rule that is the
// same.
func (t *table) deleteRules(c *ruleset.Chain, args []string, words []word) error {
	if len(args) > 0 {
		n, err := ruleNumber(args[0], len(c.Rules))
		if err != nil {
			return fmt.Errorf("chain %q: %w", c.Name, err)
		}
		if len(args) > 1 || len(words) > 0 {
			return fmt.Errorf("-D takes a number or a rule: %w", ErrSyntax)
		}
		c.Rules = slices.Delete(c.Rules, n-1, n)
		renumber(c)
		return nil
	}
	doomed, err := t.rules(c, words)
	if err != nil {
		return err
	}
	for _, d := range doomed {
		want := fingerprint(d)
		i := slices.IndexFunc(c.Rules, func(r *ruleset.Rule) bool { return fingerprint(r) == want })
		if i < 0 {
			return fmt.Errorf("chain %q has no rule %s: %w", c.Name, strings.TrimPrefix(d.Text, "-A "+c.Name+" "), ErrNoRule)
		}
		c.Rules = slices.Delete(c.Rules, i, i+1)
	}
	renumber(c)
	return nil
}
