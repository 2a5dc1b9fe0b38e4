package diagnose

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

// OwnerOf tells which program manages a rule, or with a nil rule the chain's
// policy; "" where none left its mark.
func OwnerOf(chain *ruleset.Chain, rule *ruleset.Rule) Owner { return ownerOf(chain, rule) }

// Shell joins words to a command line, quoted for a shell; "" where one of them
// should not stand in a command at all.
func Shell(words ...string) string { return shell(words...) }

// In puts the way into the namespace before a command; "" where none is known.
func (n Namespace) In(command string) string { return n.in(command) }
