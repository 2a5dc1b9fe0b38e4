package nftables

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// errListing is returned for output that is not what the program is known to
// print, or not of the rules that the snapshot has.
var (
	errListing   = errors.New("listing does not match the ruleset")
	errTruncated = fmt.Errorf("ends within a block: %w", errListing)
)

// listedBlock is a chain, or another thing in a table, as `nft -a list` prints
// it.
type listedBlock struct {
	table  uint64 // table handle; 0 where the program printed none (list chain)
	handle uint64
	chain  bool
	rules  []listedRule // of a chain
}

// listedRule is a rule's text on one line, without its handle.
type listedRule struct {
	text   string
	handle uint64
	// nested are the rules of a chain { … } inside the rule. nft prints no
	// handles for them.
	nested []listedRule
}

// listing reads what `nft -a -s list ruleset` or `list chain` prints.
//
// Tables are indented by nothing, chains and sets by one tab, rules by two. nft
// escapes nothing: a line break in a comment, a log prefix or a name (the
// kernel takes any byte) can look like rules and whole tables. But each rule
// ends in "# handle N", comments are followed by it, and nothing else but the
// heads of blocks has one. So the parser lets no line with a handle go by
// unseen, and the caller compares all handles with the kernel's: what is added
// is then too much.
type listing struct {
	r     *bufio.Reader
	table uint64
}

// parseListing calls visit with each block.
func parseListing(r io.Reader, visit func(listedBlock) error) error {
	l := &listing{r: bufio.NewReaderSize(r, 64<<10)}
	inside := false
	for {
		line, err := l.line()
		if err == io.EOF && !inside {
			return nil
		}
		if err == io.EOF {
			err = errTruncated
		}
		if err != nil {
			return err
		}
		head, handle, handled := cutHandle(line)
		opens := strings.HasSuffix(head, "{")
		switch {
		case !inside && opens && strings.HasPrefix(head, "table "):
			inside, l.table = true, handle
		case inside && line == "}":
			inside = false
		case inside && opens && strings.HasPrefix(head, "\t"):
			b := listedBlock{table: l.table, handle: handle, chain: strings.HasPrefix(head, "\tchain ")}
			if err := l.block(&b); err != nil {
				return err
			}
			if err := visit(b); err != nil {
				return err
			}
		case handled || strings.HasPrefix(line, "\t}"):
			return fmt.Errorf("line %q: %w", line, errListing)
		}
	}
}

// line is the next line without its break.
func (l *listing) line() (string, error) {
	line, err := l.r.ReadString('\n')
	if err == io.EOF && line != "" {
		return "", errTruncated
	}
	return strings.TrimSuffix(line, "\n"), err
}

// inner is the next line inside a block, which has to be indented by two tabs
// or more, without the spaces around it; it is "" where the block ends.
func (l *listing) inner(indent string) (string, error) {
	for {
		line, err := l.line()
		switch {
		case err == io.EOF:
			return "", errTruncated
		case err != nil:
			return "", err
		case line == "\t}" && indent == ruleIndent:
			return "", nil
		case line == "":
		case !strings.HasPrefix(line, indent):
			return "", fmt.Errorf("line %q: %w", line, errListing)
		default:
			return strings.TrimSpace(line), nil
		}
	}
}

const (
	ruleIndent   = "\t\t"
	nestedIndent = "\t\t\t"
)

func (l *listing) block(b *listedBlock) error {
	if b.chain {
		return l.chain(b)
	}
	for {
		line, err := l.inner(ruleIndent)
		if err != nil || line == "" {
			return err
		}
		// Nothing in a set or object has a handle.
		if _, _, handled := cutHandle(line); handled {
			return fmt.Errorf("line %q: %w", line, errListing)
		}
	}
}

func (l *listing) chain(b *listedBlock) error {
	for {
		line, err := l.inner(ruleIndent)
		if err != nil || line == "" {
			return err
		}
		if len(b.rules) == 0 {
			if skipped, err := l.head(line); err != nil {
				return err
			} else if skipped {
				continue
			}
		}
		rule, err := l.rule(line)
		if err != nil {
			return err
		}
		b.rules = append(b.rules, rule)
	}
}

// head skips a line above the first rule: the chain's comment, or its type,
// hook, priority and policy, which with many devices take several lines.
func (l *listing) head(line string) (bool, error) {
	if _, _, handled := cutHandle(line); handled {
		return false, nil
	}
	if strings.HasPrefix(line, `comment "`) {
		return true, nil
	}
	if !strings.HasPrefix(line, "type ") && !strings.HasPrefix(line, "policy ") && !strings.HasPrefix(line, "flags ") {
		return false, nil
	}
	for !strings.HasSuffix(line, ";") {
		var err error
		if line, err = l.inner(ruleIndent); err != nil {
			return false, err
		}
		if _, _, handled := cutHandle(line); handled || line == "" {
			return false, fmt.Errorf("head of chain goes on with %q: %w", line, errListing)
		}
	}
	return true, nil
}

// rule reads on from the rule's first line to its handle.
func (l *listing) rule(line string) (listedRule, error) {
	var (
		r    listedRule
		text strings.Builder
	)
	for {
		part, handle, done := cutHandle(line)
		text.WriteString(part)
		if done {
			r.text, r.handle = text.String(), handle
			return r, nil
		}
		var err error
		if opensChain(line) {
			if r.nested, err = l.nested(&text); err == nil {
				line, err = l.inner(ruleIndent)
			}
		} else {
			// nft breaks long sets over lines.
			text.WriteByte(' ')
			line, err = l.inner(ruleIndent)
		}
		if err == nil && line == "" {
			err = errTruncated
		}
		if err != nil {
			return r, err
		}
	}
}

// nested reads the rules of a { … } up to the line that closes it.
func (l *listing) nested(text *strings.Builder) ([]listedRule, error) {
	var rules []listedRule
	text.WriteByte(' ')
	for {
		// The closing line is indented like the rule, its rules one tab more.
		peek, err := l.r.Peek(len(nestedIndent))
		if err != nil {
			return nil, errTruncated
		}
		if string(peek) != nestedIndent {
			return rules, nil
		}
		line, err := l.inner(nestedIndent)
		if err != nil {
			return nil, err
		}
		for !balanced(line) {
			more, err := l.inner(nestedIndent)
			if err != nil {
				return nil, err
			}
			line += " " + more
		}
		if _, _, handled := cutHandle(line); handled {
			return nil, fmt.Errorf("line %q: %w", line, errListing)
		}
		rules = append(rules, listedRule{text: line})
		text.WriteString(line + "; ")
	}
}

func opensChain(line string) bool {
	return strings.HasSuffix(line, "jump {") || strings.HasSuffix(line, "goto {")
}

// balanced reports whether each brace outside quotes is closed.
func balanced(s string) bool {
	depth, quoted := 0, false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == '{':
			depth++
		case s[i] == '}':
			depth--
		}
	}
	return depth <= 0
}

// cutHandle splits "… # handle N" as nft -a ends its lines.
func cutHandle(line string) (text string, handle uint64, ok bool) {
	const mark = " # handle "
	i := strings.LastIndex(line, mark)
	if i < 0 {
		return line, 0, false
	}
	handle, err := strconv.ParseUint(line[i+len(mark):], 10, 64)
	if err != nil {
		return line, 0, false
	}
	return line[:i], handle, true
}
